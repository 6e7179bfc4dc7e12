"""Which jobs can follow their source as a stream, and what a job that cannot is told to change."""

from __future__ import annotations

from typing import Any

import pytest

from spark_infer.config import JobConfig
from spark_infer.config.validate_options import validated
from spark_infer.errors import ConfigError

STREAM = {
    "model": "models:/m/1",
    "source": "in",
    "target": {"path": "out", "mode": "append"},
    "trigger": "available_now",
    "checkpoint": "here",
}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("available_now", "available_now"),
        ("30 seconds", "30 seconds"),
        ("30s", "30 seconds"),
        ("1 Minute", "1 minutes"),
        ("2h", "2 hours"),
    ],
)
def test_a_trigger_is_the_word_or_an_interval(written: str, meant: str) -> None:
    assert validated(JobConfig, STREAM | {"trigger": written}).trigger == meant


@pytest.mark.parametrize("written", ["availableNow", "0 seconds", "daily", "once", "30", "", "1.5 hours"])
def test_another_trigger_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="expected `available_now`, or an interval such as `30 seconds`"):
        validated(JobConfig, STREAM | {"trigger": written})


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"checkpoint": None}, "a stream needs `checkpoint`"),
        ({"engine": "local"}, "set engine: spark"),
        ({"plane": "direct"}, "leave `plane` out"),
        ({"source": {"path": "in", "version": 3}}, "startingVersion"),
        ({"target": {"path": "out"}}, "set target.mode to append"),
        ({"target": {"path": "out", "mode": "overwrite"}}, "set target.mode to append"),
        ({"target": {"path": "out", "mode": "merge", "keys": "id"}}, "`incremental` in place of `trigger` to merge"),
        ({"incremental": True}, "leave `incremental` out"),
        ({"aggregate": {"path": "sums", "by": ["id"], "columns": {"n": "count"}}}, "leave `aggregate` out"),
        (
            {"quarantined": True, "quarantine": "bad", "score": {"on_error": "quarantine"}},
            "a stream quarantines rows without their place in a file",
        ),
        ({"min_rows": 1}, "leave `min_rows` and `fail_on_empty` out"),
        ({"fail_on_empty": True}, "leave `min_rows` and `fail_on_empty` out"),
        ({"deadline_seconds": 60}, "leave `deadline_seconds` and `max_runtime` out"),
        ({"max_runtime": "2h"}, "leave `deadline_seconds` and `max_runtime` out"),
        ({"stream_options": {"readChangeFeed": True}}, "rows that were removed"),
    ],
)
def test_what_a_stream_cannot_be_combined_with_is_refused_with_what_to_do(given: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        validated(JobConfig, STREAM | given)
    assert hint in str(refused.value)
    without: dict[str, Any] = {"trigger": None, "checkpoint": None, "stream_options": {}}
    validated(JobConfig, STREAM | given | without)  # each of them is right in a job that is no stream


@pytest.mark.parametrize(
    "given", [{"checkpoint": "here"}, {"refresh_model": True}, {"stream_options": {"maxFilesPerTrigger": 1}}]
)
def test_keys_of_a_stream_need_a_trigger(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="belongs to a stream: set trigger: available_now, or take it out"):
        validated(JobConfig, STREAM | {"trigger": None, "checkpoint": None} | given)
