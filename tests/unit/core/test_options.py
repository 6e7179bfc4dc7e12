from __future__ import annotations

from typing import Any

import pytest

from spark_infer.config import JobConfig, ScoreOptions
from spark_infer.core.options import validated
from spark_infer.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"batch_sice": 3}, "batch_sice is not an option (did you mean 'batch_size'?)"),
        ({"batch_size": 0}, "batch_size should be greater than or equal to 1"),
        ({"allow_casts": "long->int"}, "allow_casts.0 should be 'decimal->double', 'double->float' or 'long->double'"),
    ],
)
def test_every_problem_names_its_option(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        validated(ScoreOptions, given)
    assert refusal.value.details == (problem,)


def test_all_problems_of_all_groups_come_at_once_and_show_no_value() -> None:
    job = {
        "source": {"path": "a", "table": "b"},
        "target": {"path": "hunter2-out", "mod": "append", "mode": "overwrite_partitions"},
        "score": {"batch_size": "hunter2"},
    }
    with pytest.raises(ConfigError) as refusal:
        validated(JobConfig, job)
    told = "\n".join(refusal.value.details)
    for words in ("model is missing", "source: give either", "target.mod is not an option (did you mean 'mode'?)"):
        assert words in told
    assert "hunter2" not in str(refusal.value)
    assert "pydantic" not in str(refusal.value)


def test_what_fits_comes_back_made() -> None:
    assert validated(ScoreOptions, {"batch_size": 5}).batch_size == 5
