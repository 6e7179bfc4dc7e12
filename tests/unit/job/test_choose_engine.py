"""The engine of a job where PySpark is not installed, as in all tests of this folder."""

from __future__ import annotations

from typing import Any

import pytest

from spark_infer.config import JobConfig
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.errors import EnvironmentProblem
from spark_infer.job import choose_engine
from spark_infer.job.choose_engine import engine_of


def no_session() -> Any:
    raise AssertionError("a session was asked for")


def config(engine: str) -> JobConfig:
    document = {"model": {"uri": "m"}, "source": {"path": "in"}, "target": {"path": "out"}, "engine": engine}
    return JobConfig.model_validate(document)


def test_a_job_for_spark_without_pyspark_is_refused_with_what_to_install() -> None:
    with pytest.raises(EnvironmentProblem, match="PySpark is not installed") as caught:
        engine_of(config("spark"), no_session)
    assert caught.value.next_step == "pip install 'spark-infer[spark]', or set engine: local."


def test_a_job_for_spark_without_pandas_is_refused_before_spark_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_engine, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match="pandas, without which PySpark runs no Python functions") as caught:
        engine_of(config("spark"), no_session)
    assert caught.value.next_step == "pip install 'spark-infer[spark]', or set engine: local."


def test_engine_local_needs_no_session() -> None:
    assert isinstance(engine_of(config("local"), no_session), LocalEngine)
