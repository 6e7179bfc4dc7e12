from __future__ import annotations

from typing import Any

import pytest

from spark_infer.config import JobConfig, ScoreOptions
from spark_infer.config.validate_options import validated
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


@pytest.mark.parametrize(
    ("group", "name", "hint"),
    [
        ("score", "keep", ' (it goes under target: target={"keep": …})'),
        ("score", "partition_filter", ' (it goes under source: source={"partition_filter": …})'),
        ("score", "tracking_uri", ' (it goes under model: model={"tracking_uri": …})'),
        ("score", "gpu", ' (it goes under resources: resources={"gpu": …})'),
        ("score", "format", ' (it goes under source: source={"format": …} or target: target={"format": …})'),
        ("score", "deadline_seconds", " (it is a key of the job itself, not of a group)"),
        ("target", "batch_size", ' (it goes under score: score={"batch_size": …})'),
        ("score", "batchsize", " (did you mean 'batch_size'?)"),
        ("score", "colour", ""),
    ],
)
def test_an_option_in_the_wrong_group_is_refused_with_its_place(group: str, name: str, hint: str) -> None:
    job = {"source": {"path": "a"}, "target": {"path": "b"}, "model": {"uri": "m"}, "score": {}}
    job[group] = {**job[group], name: "hunter2"}
    with pytest.raises(ConfigError) as refusal:
        validated(JobConfig, job)
    assert refusal.value.details == (f"{group}.{name} is not an option{hint}",)


def test_what_fits_comes_back_made() -> None:
    assert validated(ScoreOptions, {"batch_size": 5}).batch_size == 5
