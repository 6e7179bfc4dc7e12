"""A faster way that answers otherwise than the model is turned off: before a run on the driver, and in a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spark_infer.config import JobConfig, ResourceOptions
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.job.describe import plan_of
from spark_infer.job.prepare import prepare_job
from spark_infer.job.run import run_job

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("in_this_process")]

ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """A job with a pipeline whose scaler goes column by column."""
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(ROWS, ROWS.a + 3)
    how = {"pip_requirements": ["scikit-learn"], "serialization_format": "pickle"}
    mlflow.sklearn.save_model(model, tmp_path / "model", signature=infer_signature(ROWS, model.predict(ROWS)), **how)
    (tmp_path / "in").mkdir()
    pq.write_table(pa.Table.from_pandas(ROWS, preserve_index=False), tmp_path / "in" / "rows.parquet")
    return {
        "model": {"uri": str(tmp_path / "model")},
        "source": {"path": str(tmp_path / "in")},
        "target": {"path": str(tmp_path / "out")},
        "engine": "local",
    }


def prepared(document: dict[str, Any], **score: Any) -> PreparedJob:
    return prepare_job(LocalEngine(ResourceOptions()), JobConfig.model_validate({**document, "score": score}))


def make_otherwise(job: PreparedJob) -> None:
    """Change what the scaler of the loaded model does, which the faster way has read before."""
    model: Any = job.scoring.load_here()
    model.framework_model[0].transform = lambda rows: rows * 0.0


def test_a_difference_on_the_driver_turns_it_off_for_the_workers_and_stands_in_the_plan(
    document: dict[str, Any],
) -> None:
    job = prepared(document)
    assert "acceleration: the first steps go over one column after the other" in str(plan_of(job))
    assert job.recipe.load.accelerate
    make_otherwise(job)
    again = prepared(document)
    assert not again.recipe.load.accelerate
    plan = plan_of(again)
    assert plan.acceleration.startswith("off, since it was seen to answer otherwise")
    assert any("acceleration is turned off" in warning for warning in plan.warnings)


def test_a_difference_in_a_worker_turns_it_off_there_and_stands_in_the_report(
    document: dict[str, Any], tmp_path: Path
) -> None:
    job = prepared(document)
    make_otherwise(job)
    report = run_job(job)
    assert any("1 task(s) were scored without acceleration" in warning for warning in report.warnings)
    rows = pq.read_table(tmp_path / "out")
    assert rows["prediction"].to_pylist() == pytest.approx([3.0 + ROWS.a.mean()] * len(ROWS))


def test_accelerate_off_leaves_everything_to_the_library(document: dict[str, Any]) -> None:
    report = run_job(prepared(document, accelerate="off"))
    assert report.acceleration == "off, as asked for"
    assert "acceleration: off, as asked for" in str(report)
