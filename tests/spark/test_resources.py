"""What local mode makes of resources: it has no profiles and no GPUs, and says so before any task starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_infer import ScoringJob, score, score_table
from spark_infer.config import JobConfig, ResourceOptions
from spark_infer.errors import ConfigError, ResourcesError
from spark_infer.spark.resources.application import Application
from spark_infer.spark.resources.stage import Stage, plan_stage, refuse_idle_gpu
from tests.spark.made import CountingModel


@pytest.fixture
def job(spark: SparkSession, counting: CountingModel, tmp_path: Path) -> dict[str, Any]:
    spark.range(4).selectExpr("double(id) as x").coalesce(1).write.parquet(str(tmp_path / "source"))
    return {
        "model": {"uri": counting.folder},
        "source": {"path": str(tmp_path / "source")},
        "target": {"path": str(tmp_path / "target"), "format": "parquet"},
    }


def test_the_plan_tells_tasks_and_copies(spark: SparkSession, job: dict[str, Any]) -> None:
    plan = ScoringJob(JobConfig.model_validate(job)).plan(spark)
    *tasks, hosting = plan.tasks
    assert tasks == [
        "at most 2 at once on 1 executor with 2 cores",
        "each takes 1 core",
        "2 copies of the model, one in each Python worker",
    ]
    assert re.fullmatch(r"hosting: worker \(2 x [\d.]+ GB = [\d.]+ GB of the [\d.]+ GB that .*\)", hosting)
    assert "  tasks   at most 2 at once on 1 executor with 2 cores\n          each takes 1 core\n" in str(plan)


def test_a_gpu_is_refused_with_the_settings_that_would_have_one(spark: SparkSession, job: dict[str, Any]) -> None:
    with pytest.raises(ResourcesError) as caught:
        ScoringJob(JobConfig.model_validate({**job, "resources": {"gpu": 1}})).plan(spark)
    assert "local-cluster[1,CORES,MEMORY_MB]" in str(caught.value)
    with pytest.raises(ResourcesError, match="gives every task the same cores"):
        score(spark.range(1), job["model"]["uri"], resources={"cpus": 2})
    with pytest.raises(ConfigError, match="cannot be used"):
        score(spark.range(1), job["model"]["uri"], resources={"tasks_per_gpu": 0.3})


def test_where_the_cpu_will_do_it_serves_and_plan_and_report_say_so(spark: SparkSession, job: dict[str, Any]) -> None:
    given = {**job, "resources": {"gpu": 1, "allow_cpu_fallback": True}}
    assert "no GPU can be had here" in ScoringJob(JobConfig.model_validate(given)).plan(spark).warnings[0]
    report = score_table(spark, **given)
    assert report.rows_scored == 4
    assert "the CPU served where a GPU was asked for: 1 of 1 loads of the model" in report.warnings
    assert "no GPU can be had here" in report.warnings[0]


def test_a_gpu_for_a_backend_that_has_no_use_for_one_is_refused() -> None:
    stage = Stage(resources=ResourceOptions(gpu=1), application=Application(), way="profile", profile=None)
    for backend in ("sklearn", "lightgbm"):
        with pytest.raises(ResourcesError, match=f"Backend '{backend}' runs on the CPU alone"):
            refuse_idle_gpu(stage, backend)
    for backend in ("onnx", "pytorch", "xgboost", "pyfunc"):
        refuse_idle_gpu(stage, backend)


def test_a_local_session_whose_tasks_want_gpus_is_refused_and_not_waited_for(spark: SparkSession) -> None:
    waiting = spark.newSession()
    waiting.conf.set("spark.task.resource.gpu.amount", "0.5")
    with pytest.raises(ResourcesError, match="waits for ever"):
        plan_stage(waiting, ResourceOptions())
