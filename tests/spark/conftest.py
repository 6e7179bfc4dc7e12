"""Models that many of these tests score with."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.light_skops import import_skops
from tests.line import save_line
from tests.older_mlflow import trusted
from tests.spark.made import CountingModel, FlowerModel, iris_like

if TYPE_CHECKING:
    from tests.spark.boats import Boats


@pytest.fixture(scope="session")
def flower(tmp_path_factory: pytest.TempPathFactory) -> FlowerModel:
    """A pipeline with text labels, saved as MLflow does by default."""
    folder = tmp_path_factory.mktemp("models") / "flower"
    rows = iris_like(1_000)
    inputs = rows[["width", "height", "weight"]]
    labels = (inputs.width + 10 * inputs.height + 100 * inputs.weight > 0).map({True: "tall", False: "small"})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_skops()
        mlflow.sklearn.save_model(
            model,
            folder,
            signature=infer_signature(inputs, model.predict(inputs)),
            pip_requirements=["scikit-learn"],
            **trusted("numpy.dtype"),
        )
    return FlowerModel(str(folder), rows, dict(zip(rows.id.tolist(), model.predict(inputs).tolist(), strict=True)))


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that doubles ``x``."""
    return save_line(tmp_path_factory.mktemp("line") / "model")


@pytest.fixture(scope="session")
def boats(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Boats:
    """A Spark ML pipeline; importing and training it takes seconds, so it is one for all."""
    from tests.spark.boats import make_boats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_boats(spark, tmp_path_factory.mktemp("sparkml"))


@pytest.fixture
def counting(tmp_path: Path) -> CountingModel:
    """A model of its own for each test, so that no cache knows it."""
    log, where = tmp_path / "log", tmp_path / "where.txt"
    log.write_text("")
    where.write_text(str(log))
    example = iris_like(2)[["width"]].rename(columns={"width": "x"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            tmp_path / "counting",
            python_model=str(Path(__file__).parent / "models" / "counting.py"),
            artifacts={"log": str(where)},
            signature=infer_signature(example, (example["x"] * 2).rename("prediction")),
            pip_requirements=["pandas"],
        )
    log.write_text("")
    return CountingModel(str(tmp_path / "counting"), log)
