"""A model's own example, scored by the workers of Spark: each answers, and says what is installed there."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from sklearn.linear_model import LinearRegression

from spark_infer.job.verify import SparkWorkers, verify_model
from spark_infer.spark import verify_tasks


def test_every_slot_answers_and_what_differs_is_reported_by_host(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame({"x": np.arange(20.0)})
    model = LinearRegression().fit(rows, 2 * rows.x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = infer_signature(rows, model.predict(rows))
        mlflow.sklearn.save_model(
            model, tmp_path / "m", signature=signature, input_example=rows[:5], pip_requirements=["scikit-learn"]
        )
    monkeypatch.setattr(verify_tasks, "_HOLD_SECONDS", 0.0)
    workers = SparkWorkers(lambda: nullcontext(spark))
    found = verify_model(str(tmp_path / "m"), workers=workers)
    slots = spark.sparkContext.defaultParallelism
    ((host, there),) = found.hosts.items()
    assert (found.equal, found.workers, there.tasks, there.other_versions) == (
        True,
        f"{slots} tasks of Spark",
        slots,
        (),
    )
    assert f"{host}  {slots} tasks, as expected" in str(found)
    pq.write_table(pa.table({"x": [1.0, 2.0], "prediction": [2.0, 4.5]}), tmp_path / "golden.parquet")
    wrong = verify_model(
        str(tmp_path / "m"), golden=tmp_path / "golden.parquet", workers=SparkWorkers(lambda: nullcontext(spark))
    )
    assert (wrong.equal, wrong.hosts[host].equal) == (False, False)
    assert f"! {host}  {slots} tasks, not as expected, by up to 0.111" in str(wrong)
