"""A model whose libraries are missing or older here, at the doors."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_infer import ScoringJob, score
from spark_infer.config import JobConfig
from spark_infer.errors import EnvironmentProblem
from spark_infer.job.plan import Plan
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
    assert ["numpy 98.7" in warning for warning in plan.warnings] == [True]


def test_another_python_of_the_workers_is_asked_for_the_libraries_when_planning(
    spark: SparkSession, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = python_without(tmp_path, "sklearn")
    monkeypatch.setattr(spark.sparkContext, "pythonExec", python)
    with pytest.raises(EnvironmentProblem, match=re.escape(f"the Python of Spark's workers ({python})")) as refused:
        planned(spark, model, tmp_path)
    assert refused.value.details == ("scikit-learn is not installed",)
