"""What the streaming door refuses before it looks for a session."""

from __future__ import annotations

from typing import Any

import pytest

from spark_infer import score_stream
from spark_infer.errors import ConfigError
from spark_infer.models.ref import ModelRef


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"limit": 20}, "has no option 'limit': a stream scores all rows"),
        ({"new_run": True}, "a new checkpoint begins with all rows"),
        ({"job_params": {"day": 1}}, "a job file has parameters"),
        ({"incremental": True}, "it is an option of score_table"),
        ({"batchsize": 5}, "did you mean 'batch_size'?"),
        ({"trigger": "once"}, "expected `available_now`"),
        ({"target": {"path": "out", "mode": "overwrite"}}, "set target.mode to append"),
        (
            {"model": ModelRef.__new__(ModelRef), "refresh_model": True},
            "a ModelRef or a Python function is one version",
        ),
    ],
)
def test_what_a_stream_does_not_have_is_refused_with_what_to_do(given: dict[str, Any], hint: str) -> None:
    wanted: dict[str, Any] = {"source": "in", "target": "out", "model": "models:/m/1", "checkpoint": "here"}
    if isinstance(given.get("model"), ModelRef):
        object.__setattr__(given["model"], "uri", "models:/m/1")
    with pytest.raises(ConfigError) as refused:
        score_stream(**wanted | given)
    assert hint in str(refused.value)
