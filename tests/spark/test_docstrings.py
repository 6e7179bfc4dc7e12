"""The examples of the public names that need Spark run in a folder with a table, a registered model and a job file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from sklearn.linear_model import LinearRegression

import spark_infer
from spark_infer.spark import schema
from spark_infer.spark.tables import spark_tables
from tests.database import new_database
from tests.docstrings import examples, failures
from tests.unit.test_docstrings import WITHOUT_SPARK


@pytest.fixture
def flights(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the examples take as given; also `data/flights`, `job.yaml` and `models:/flight_delay@champion`."""
    monkeypatch.chdir(tmp_path)
    # Spark's own current folder, which is that of its JVM, is this one too.
    monkeypatch.setitem(spark_tables._HOMES, str(spark.conf.get("spark.app.id")), f"file:{tmp_path}/")
    delays = pd.DataFrame({"dep_delay": [2.0, 33.0, -4.0]})
    model = LinearRegression().fit(delays, delays["dep_delay"])
    model.coef_, model.intercept_ = np.array([1.0]), -5.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model, "model", signature=infer_signature(delays, model.predict(delays)), pip_requirements=["scikit-learn"]
        )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_database(tmp_path / "mlflow.db"))
    client = MlflowClient()
    client.create_registered_model("flight_delay")
    client.create_model_version("flight_delay", str(tmp_path / "model"))
    client.set_registered_model_alias("flight_delay", "champion", "1")
    table = pa.table({"flight_id": [1, 2, 3], "month": [12, 12, 11], "dep_delay": delays["dep_delay"]})
    pq.write_to_dataset(table, "data/flights", partition_cols=["month"])
    Path("job.yaml").write_text(
        "model: models:/flight_delay@champion\n"
        "source: data/flights\n"
        "target: {path: data/scored, format: parquet, keep: [flight_id]}\n"
    )
    return {"spark": spark, "flights": spark.createDataFrame(table.to_pandas())}


def test_every_public_name_has_an_example_and_each_gives_what_it_shows(flights: dict[str, Any]) -> None:
    public = {name: getattr(spark_infer, name) for name in spark_infer.__all__}
    assert [name for name, thing in public.items() if not examples(thing)] == []
    names = {**public, **flights}
    told = "".join(failures(thing, names) for name, thing in public.items() if name not in WITHOUT_SPARK)
    assert not told, told


def test_the_examples_of_a_module_that_imports_pyspark_give_what_they_show() -> None:
    assert examples(schema)
    assert failures(schema, dict(vars(schema))) == ""
