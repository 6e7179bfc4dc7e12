from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from spark_infer.config import JobConfig, ScoreOptions
from spark_infer.config.validate_options import checked, validated
from spark_infer.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"batch_sice": 3}, "unknown key 'batch_sice' (did you mean 'batch_size'?)"),
        ({"batch_size": 0}, "batch_size: expected a whole number, 1 or more, or auto"),
        (
            {"allow_casts": "long->int"},
            "allow_casts: expected one of decimal->double, double->float, long->double",
        ),
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
    for words in ("missing key 'model'", "source: give one of", "unknown key 'mod' in target (did you mean 'mode'?)"):
        assert words in told
    assert "hunter2" not in str(refusal.value)
    assert "pydantic" not in str(refusal.value)


@pytest.mark.parametrize(
    ("group", "name", "hint"),
    [
        ("score", "keep", " (it goes under 'target')"),
        ("score", "partition_filter", " (it goes under 'source')"),
        ("score", "tracking_uri", " (it goes under 'model')"),
        ("score", "gpu", " (it goes under 'resources')"),
        ("score", "format", " (it goes under 'source' or 'target' or 'quarantine' or 'cache' or 'aggregate')"),
        ("score", "deadline_seconds", " (it is a key of the job itself, not of a group)"),
        ("target", "batch_size", " (it goes under 'score')"),
        ("score", "batchsize", " (did you mean 'batch_size'?)"),
        ("score", "colour", "; the keys are inputs, params, model_config, "),
    ],
)
def test_an_option_in_the_wrong_group_is_refused_with_its_place(group: str, name: str, hint: str) -> None:
    job = {"source": {"path": "a"}, "target": {"path": "b"}, "model": {"uri": "m"}, "score": {}}
    job[group] = {**job[group], name: "hunter2"}
    with pytest.raises(ConfigError) as refusal:
        validated(JobConfig, job)
    assert refusal.value.details[0].startswith(f"unknown key {name!r} in {group}{hint}")
    assert "hunter2" not in str(refusal.value)


def test_what_fits_comes_back_made() -> None:
    assert validated(ScoreOptions, {"batch_size": 5}).batch_size == 5


WORDS = ["kind", "column", "threshold", "function"]
VALUES = st.sampled_from(WORDS) | st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS), max_size=3)
STEPS = st.dictionaries(st.sampled_from(WORDS), VALUES, min_size=1, max_size=3)


@drawn(st.dictionaries(st.sampled_from(["postprocess", "compile", "params"]), STEPS | st.lists(STEPS), min_size=1))
def test_checking_ends_whatever_steps_and_groups_are_given(options: dict[str, Any]) -> None:
    made, problems = checked(ScoreOptions, options)
    assert (made is None) == bool(problems)
