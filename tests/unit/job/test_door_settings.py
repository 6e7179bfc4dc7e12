"""The arguments of a door become the keys of a job file."""

from __future__ import annotations

from spark_infer.job.door_settings import job_settings


def test_options_go_to_the_job_or_to_its_score_and_params_are_those_of_the_model() -> None:
    options = {"params": {"k": 1}, "batch_size": 5, "name": "nightly", "model_config": {"a": 1}, "colour": "red"}
    assert job_settings("m", options, source="in", target="out") == {
        "name": "nightly",
        "model": "m",
        "source": "in",
        "target": "out",
        "score": {"params": {"k": 1}, "batch_size": 5, "model_config": {"a": 1}},
    }


def test_none_is_the_default_of_on_error() -> None:
    assert job_settings("m", {"on_error": None}, source="in", target="out")["score"] == {}
