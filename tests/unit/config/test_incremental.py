"""Which keys may tell new rows apart, and with what they go together."""

from __future__ import annotations

from typing import Any

import pytest

from spark_infer.config import JobConfig
from spark_infer.config.validate_options import validated
from spark_infer.errors import ConfigError

JOB: dict[str, Any] = {"model": "models:/m/1", "source": "in", "target": {"path": "out", "mode": "append"}}
QUARANTINE = {"score": {"on_error": "quarantine"}, "quarantine": "bad"}


@pytest.mark.parametrize("by", [["k", "k"], ["day", "Key", "kEY"]])
def test_a_key_that_is_named_twice_is_refused(by: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"names {by[-1]} twice: name each column once"):
        validated(JobConfig, JOB | {"incremental": {"by": by}})


def test_keys_and_a_quarantine_are_refused_with_the_ways_out() -> None:
    with pytest.raises(ConfigError, match=r"set score.on_error to null, .* or leave `incremental.by` out"):
        validated(JobConfig, JOB | QUARANTINE | {"incremental": {"by": "k"}})


@pytest.mark.parametrize("incremental", [True, {"by": "k", "enabled": False}, {"by": ["k", "day"]}])
def test_either_of_them_is_taken(incremental: Any) -> None:
    keys_alone = isinstance(incremental, dict) and incremental.get("enabled", True)
    assert validated(JobConfig, JOB | ({} if keys_alone else QUARANTINE) | {"incremental": incremental})
