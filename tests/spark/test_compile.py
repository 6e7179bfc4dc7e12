"""Jobs that ask for a compiled model: served by it, or refused before the target is touched."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deltalake
import mlflow
import numpy as np
import pandas as pd
import pytest
import xgboost
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier

from spark_infer import ScoringJob, score, score_table
from spark_infer.config import JobConfig
from spark_infer.errors import ModelRefusedError, PlanError
from tests.spark.made import CountingModel, FlowerModel

CANCER = load_breast_cancer(as_frame=True)


def cells() -> pd.DataFrame:
    """Real rows, a tenth of their values missing."""
    X = CANCER.data.iloc[:, :6].rename(columns=lambda name: name.replace(" ", "_"))
    return X.mask(np.random.default_rng(0).random(X.shape) < 0.1)


def saved(flavor: Any, model: Any, X: pd.DataFrame, folder: Path, **how: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = infer_signature(X, model.predict(X))
        flavor.save_model(model, folder, signature=signature, pip_requirements=["xgboost"], **how)
    return str(folder)


@pytest.fixture(scope="module")
def table(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("cells") / "table")
    rows = cells().assign(id=range(569))
    frame = spark.createDataFrame(
        rows.astype(object).where(rows.notna(), None).astype({"id": "int64"}), schema=ddl(rows)
    )
    frame.repartition(4, "id").write.format("delta").save(path)
    return path


def ddl(rows: pd.DataFrame) -> str:
    return ", ".join(f"{name} {'long' if name == 'id' else 'double'}" for name in rows.columns)


@pytest.fixture(scope="module")
def booster(tmp_path_factory: pytest.TempPathFactory) -> str:
    model = xgboost.XGBClassifier(n_estimators=30, n_jobs=1).fit(cells(), CANCER.target)
    return saved(mlflow.xgboost, model, cells(), tmp_path_factory.mktemp("booster") / "model")


def read(path: Path) -> pd.DataFrame:
    return deltalake.DeltaTable(str(path)).to_pyarrow_table().to_pandas().sort_values("id", ignore_index=True)


def facts_of(path: Path) -> dict[str, Any]:
    (commit,) = deltalake.DeltaTable(str(path)).history(1)
    facts: dict[str, Any] = json.loads(commit["userMetadata"])
    return facts


@contextmanager
def no_job(spark: SparkSession) -> Iterator[None]:
    tracker = spark.sparkContext.statusTracker()
    before = tracker.getJobIdsForGroup(None)
    yield
    assert tracker.getJobIdsForGroup(None) == before


@pytest.mark.parametrize("plane", ["direct", pytest.param("spark", marks=pytest.mark.soak)])
def test_a_table_is_scored_by_the_compiled_model_as_by_the_original(
    spark: SparkSession, table: str, booster: str, plane: str, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"predict_method": ["predict", "predict_proba"], "plane": plane}
    target = {"keep": ["id"]}
    score_table(spark, source=table, target={"path": str(tmp_path / "own"), **target}, model=booster, **how)
    report = score_table(
        spark, source=table, target={"path": str(tmp_path / "onnx"), **target}, model=booster, compile="onnx", **how
    )
    assert report.backend == "compiled"
    assert report.compiled.startswith("to onnx, from xgboost: 569 rows compared, labels equal, worst difference ")
    assert report.compiled.endswith("(bound 1e-05)")
    assert "compiled to onnx, from xgboost" in str(report)
    assert report.rows_scored == 569
    assert len(facts_of(tmp_path / "onnx")["compiled_digest"]) == 64
    assert "compiled_digest" not in facts_of(tmp_path / "own")
    own, compiled = read(tmp_path / "own"), read(tmp_path / "onnx")
    assert compiled.dtypes.equals(own.dtypes)
    assert compiled.prediction.tolist() == own.prediction.tolist()
    np.testing.assert_allclose(compiled.probability_1, own.probability_1, rtol=0, atol=1e-6)


def test_a_frame_is_scored_by_the_compiled_model(spark: SparkSession, flower: FlowerModel) -> None:
    frame = spark.createDataFrame(flower.rows).repartition(3)
    scored = score(frame, flower.folder, keep=["id"], compile={"to": "onnx", "bound": 1e-9})
    assert {row.id: row.prediction for row in scored.collect()} == flower.expected


def test_the_plan_says_what_was_compared_and_starts_no_job_where_workers_read(
    spark: SparkSession, table: str, booster: str, tmp_path: Path
) -> None:
    config = {
        "model": {"uri": booster},
        "source": {"path": table},
        "target": {"path": str(tmp_path / "out")},
        "plane": "direct",
        "score": {"compile": "onnx"},
    }
    job = ScoringJob(JobConfig.model_validate(config))
    with no_job(spark):
        plan = job.plan(spark)
    assert plan.compiled.startswith("to onnx, from xgboost: 569 rows compared")
    assert plan.backend == "compiled (xgboost compiled to onnx, as asked for); one matrix for each batch, no pandas"
    assert f"compiled {plan.compiled}" in str(plan)
    assert not (tmp_path / "out").exists()


def test_a_bound_that_is_not_kept_is_refused_and_the_row_is_told_by_its_file(
    spark: SparkSession, table: str, booster: str, tmp_path: Path
) -> None:
    with pytest.raises(
        ModelRefusedError, match=r"output 'probability_\d' differs by \S+ in row \d+ of the 569"
    ) as refused:
        score_table(
            spark,
            source=table,
            target={"path": str(tmp_path / "out")},
            model=booster,
            plane="direct",
            predict_method="predict_proba",
            compile={"to": "onnx", "bound": 0},
        )
    assert refused.value.details[0].startswith("that is row ")
    assert refused.value.details[0].endswith(".parquet")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_converted_is_refused_before_the_target_is_made(
    spark: SparkSession, table: str, tmp_path: Path
) -> None:
    X = cells().assign(mean_radius=np.arange(569) % 3 * 1.0)
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features=[0]).fit(X, CANCER.target)
    folder = saved(mlflow.sklearn, model, X, tmp_path / "model", serialization_format="cloudpickle")
    with pytest.raises(ModelRefusedError, match="splits on categories"), no_job(spark):
        score_table(
            spark, source=table, target={"path": str(tmp_path / "out")}, model=folder, plane="direct", compile="onnx"
        )
    assert not (tmp_path / "out").exists()


def test_a_pyfunc_is_refused_before_any_row_is_read(spark: SparkSession, counting: CountingModel) -> None:
    frame = spark.range(5).selectExpr("cast(id as double) as x")
    with pytest.raises(ModelRefusedError, match="served by 'pyfunc'"), no_job(spark):
        score(frame, counting.folder, compile="onnx")


def test_a_stream_has_no_rows_to_compare(spark: SparkSession, flower: FlowerModel) -> None:
    stream = spark.readStream.format("rate").load().selectExpr("1D width", "2D height", "3D weight")
    with pytest.raises(PlanError, match="a stream has none yet"):
        score(stream, flower.folder, compile="onnx")
