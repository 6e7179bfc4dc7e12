"""A model whose libraries are missing or older here, at the doors."""

from __future__ import annotations

import importlib
import logging
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from spark_infer import ScoringJob, model_udf, score
from spark_infer.config import JobConfig
from spark_infer.errors import ConfigError, EnvironmentProblem
from spark_infer.job.plan import Plan
from spark_infer.runtime.process_state import ProcessState
from tests.spark.lacking import python_without
from tests.spark.made import FlowerModel


@pytest.fixture
def model(flower: FlowerModel, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flower.folder, tmp_path / "flower"))


def test_a_model_of_a_later_scikit_learn_is_refused_before_any_task(spark: SparkSession, model: Path) -> None:
    text = (model / "MLmodel").read_text()
    (model / "MLmodel").write_text(re.sub(r"sklearn_version: .*", "sklearn_version: 99.1.0", text))
    rows = spark.range(3).selectExpr("double(id) width", "double(id) height", "double(id) weight")
    with pytest.raises(EnvironmentProblem, match="cannot be loaded by this Python") as refused:
        score(rows, str(model))
    assert "scikit-learn" in refused.value.details[0]
    assert "'scikit-learn==99.1.0'" in refused.value.next_step


def planned(spark: SparkSession, model: Path, folder: Path) -> Plan:
    rows = spark.range(3).selectExpr("double(id) width", "double(id) height", "double(id) weight")
    rows.write.parquet(str(folder / "source"))
    config = {
        "model": {"uri": str(model)},
        "source": {"path": str(folder / "source")},
        "target": {"path": str(folder / "target")},
    }
    return ScoringJob(JobConfig.model_validate(config)).plan(spark)


def test_the_plan_warns_of_pins_that_are_newer_than_what_is_here(
    spark: SparkSession, model: Path, tmp_path: Path
) -> None:
    (model / "requirements.txt").write_text("numpy==98.7\n")
    plan = planned(spark, model, tmp_path)
    assert ["numpy==98.7 (here" in warning for warning in plan.warnings] == [True]


def test_the_doors_warn_of_pins_once_and_take_the_arguments_of_spark_udf(
    spark: SparkSession, tmp_path: Path, new_process: Callable[[], ProcessState], caplog: pytest.LogCaptureFixture
) -> None:
    mlflow.pyfunc.save_model(
        tmp_path / "says",
        python_model=str(Path(__file__).parents[1] / "local" / "models" / "says.py"),
        signature=infer_signature(pd.DataFrame({"x": [1.0]}), ["text"]),
        model_config={"alpha": 1},
        pip_requirements=["pandas==98.7"],
    )
    (tmp_path / "config.yaml").write_text("alpha: 7\n")
    says, rows = str(tmp_path / "says"), spark.range(2).selectExpr("double(id) x")
    new_process()
    token, other = {"SPARK_INFER_TEST_TOKEN": "12345"}, {"SPARK_INFER_TEST_TOKEN": "123"}
    with caplog.at_level(logging.WARNING, logger="spark_infer"):
        udfs = [
            model_udf(spark, says, None, "local", None, token, None, {"alpha": 8}),
            model_udf(spark, says, extra_env=other, model_config=tmp_path / "config.yaml"),
        ]
        scored = score(rows, says, extra_env=token, model_config={"alpha": 9, "gamma": 0}, keep=[])
    assert [sorted({row[0] for row in rows.select(udf("x")).collect()}) for udf in udfs] == [
        ["8 5 True"],
        ["7 3 True"],
    ]
    assert {row.prediction for row in scored.collect()} == {"9 5 True"}
    assert sum("pandas==98.7 (here" in message for message in caplog.messages) == 1
    assert sum("does not take gamma" in message for message in caplog.messages) == 1
    with pytest.raises(ConfigError, match="Environment manager 'uv' is not supported") as refused:
        model_udf(spark, says, env_manager="uv")
    assert "pip install -r" in refused.value.next_step


def test_a_library_that_only_a_pickle_names_is_refused_at_the_call(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gonelib.py").write_text("def same(values):\n    return values\n")
    with monkeypatch.context() as there:
        there.syspath_prepend(str(tmp_path))
        gonelib = importlib.import_module("gonelib")
        frame = pd.DataFrame({"x": [1.0, 2.0]})
        pipeline = make_pipeline(FunctionTransformer(gonelib.same), LinearRegression()).fit(frame, frame.x)
        mlflow.sklearn.save_model(
            pipeline,
            tmp_path / "model",
            serialization_format="pickle",
            signature=infer_signature(frame, pipeline.predict(frame)),
            pip_requirements=["scikit-learn", "gonelib==4.1"],
        )
    del sys.modules["gonelib"]
    rows, model = spark.range(2).selectExpr("double(id) x"), str(tmp_path / "model")
    for door in (lambda: model_udf(spark, model), lambda: score(rows, model)):
        with pytest.raises(EnvironmentProblem, match="cannot be loaded by this Python") as refused:
            door()
        assert refused.value.details == ("gonelib is not installed",)
        assert refused.value.next_step == "there: pip install 'gonelib==4.1'"


def test_another_python_of_the_workers_is_asked_for_the_libraries_when_planning(
    spark: SparkSession, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = python_without(tmp_path, "sklearn")
    monkeypatch.setattr(spark.sparkContext, "pythonExec", python)
    with pytest.raises(EnvironmentProblem, match=re.escape(f"the Python of Spark's workers ({python})")) as refused:
        planned(spark, model, tmp_path)
    assert refused.value.details == ("scikit-learn is not installed",)
