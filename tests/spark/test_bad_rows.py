"""Rows that the model fails for, through the doors that Spark opens, on both planes."""

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
from deltalake import DeltaTable
from mlflow.models import infer_signature
from pyspark.sql import DataFrame, SparkSession

from spark_infer import model_udf, score, score_table
from spark_infer.errors import ConfigError, PlanError, RunError
from tests.deadly import RAISES, SEGFAULTS, save_deadly
from tests.spark.boats import Boats

POISON, ROWS = 500.0, 40
BAD = [3, 29]
FINE: dict[str, Any] = {"on_error": "null", "batch_size": 8}


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that returns its input, and raises for 500."""
    folder = tmp_path_factory.mktemp("moody") / "model"
    example = pd.DataFrame({"x": np.arange(3.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).parents[1] / "local/models/moody.py"),
            signature=infer_signature(example, example["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    return str(folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two files of 20 rows, and 20 columns that the model does not read."""
    folder = tmp_path_factory.mktemp("rows")
    for start in (0, ROWS // 2):
        ids = range(start, start + ROWS // 2)
        columns = {"id": ids, "x": [POISON if key in BAD else key / 4 for key in ids]}
        columns |= {f"k{index}": [index] * len(ids) for index in range(20)}
        pq.write_table(pa.table(columns), folder / f"{start}.parquet")
    return str(folder)


def holds(rows: list[Any], error: str = "prediction_error") -> None:
    found = {row["id"]: row for row in rows}
    assert [*found] == [*range(ROWS)]
    for key, row in found.items():
        assert row["prediction"] == (None if key in BAD else key / 4)
        if error:
            assert (row[error] is None) == (key not in BAD)
            assert key not in BAD or row[error]["error_class"] == "ValueError"


@pytest.mark.parametrize("keep", ["all", ["id"]])  # with all, the others pass by the model in the JVM
def test_score_leaves_bad_rows_without_a_prediction(spark: SparkSession, moody: str, source: str, keep: Any) -> None:
    frame = score(spark.read.parquet(source), moody, keep=keep, **FINE)
    holds(frame.orderBy("id").collect())


def test_a_udf_returns_null_for_bad_rows_and_the_reason_where_it_is_asked_for(
    spark: SparkSession, moody: str, source: str
) -> None:
    rows: DataFrame = spark.read.parquet(source)
    plain = model_udf(spark, moody, **FINE)
    reasons = model_udf(spark, moody, error_column="why", **FINE)
    found = rows.select("id", plain("x").alias("prediction"), reasons("x").alias("both")).orderBy("id").collect()
    holds(found, error="")
    holds([{"id": row["id"], **row["both"].asDict()} for row in found], error="why")


@pytest.mark.parametrize(
    ("kind", "plane"),
    [("delta", "spark"), pytest.param("parquet", "spark", marks=pytest.mark.soak), ("delta", "direct")],
)
def test_a_table_job_of_either_plane_leaves_bad_rows_without_a_prediction(
    spark: SparkSession, moody: str, source: str, tmp_path: Path, kind: str, plane: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind, "keep": ["id"]}
    report = score_table(spark, source=source, target=target, model=moody, plane=plane, max_bad_rows=2, **FINE)
    table = DeltaTable(tmp_path / "out").to_pyarrow_table() if kind == "delta" else pq.read_table(tmp_path / "out")
    holds(sorted(table.to_pylist(), key=lambda row: row["id"]))
    assert (report.rows_read, report.rows_scored, report.bad_rows) == (ROWS, ROWS, 2)
    assert report.plane.startswith(plane)
    again = {**target, "path": str(tmp_path / "again")}
    with pytest.raises(RunError, match="and max_bad_rows is 0"):
        score_table(spark, source=source, target=again, model=moody, plane=plane, max_bad_rows=0, **FINE)
    assert not (tmp_path / "again").exists()


def test_spark_s_tasks_quarantine_bad_rows(spark: SparkSession, moody: str, source: str, tmp_path: Path) -> None:
    report = score_table(
        spark,
        source=source,
        target={"path": str(tmp_path / "out"), "format": "delta"},
        model=moody,
        on_error="quarantine",
        quarantine={"path": str(tmp_path / "aside"), "format": "delta", "columns": ["id", "k1"]},
        units={"bytes": 1},
    )
    scored = spark.read.format("delta").load(str(tmp_path / "out"))
    aside = spark.read.format("delta").load(str(tmp_path / "aside"))
    assert sorted(row["id"] for row in scored.collect()) == [key for key in range(ROWS) if key not in BAD]
    found = {row["id"]: row for row in aside.collect()}
    assert [(row["source_file"], row["source_row"], row["k1"]) for row in (found[3], found[29])] == [
        ("0.parquet", 3, 1),
        ("20.parquet", 9, 1),
    ]
    assert {row["run_id"] for row in found.values()} == {report.run_id}
    assert (report.rows_scored, report.rows_quarantined, report.error_classes) == (ROWS - 2, 2, {"ValueError": 2})


def test_what_cannot_set_bad_rows_aside_is_refused_before_any_task(
    spark: SparkSession, moody: str, source: str, boats: Boats, tmp_path: Path
) -> None:
    rows = spark.read.parquet(source)
    for door in (
        lambda: score(rows, moody, on_error="quarantine"),
        lambda: model_udf(spark, moody, on_error="quarantine"),
    ):
        with pytest.raises(ConfigError) as refused:
            door()
        assert "is for score_table" in str(refused.value)
    with pytest.raises(PlanError, match="Spark runs this pipeline itself"):
        score(boats.rows, boats.pipeline, keep=(), on_error="null", allow_casts="long->double")
    with pytest.raises(PlanError, match="needs workers that read the source and write the target"):
        score_table(
            spark,
            source=source,
            target=str(tmp_path / "out"),
            model=moody,
            plane="spark",
            on_error="quarantine",
            quarantine=str(tmp_path / "aside"),
        )
    assert not (tmp_path / "aside").exists()


def test_rows_that_are_all_bad_stop_a_job_that_spark_reads_and_writes(
    spark: SparkSession, moody: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"id": np.arange(100_000), "x": np.full(100_000, POISON)}), tmp_path / "in.parquet")
    with pytest.raises(RunError, match=r"10,000 of the first 10,000 rows, and max_bad_fraction is 0.1"):
        score_table(
            spark,
            source=str(tmp_path / "in.parquet"),
            target={"path": str(tmp_path / "out"), "format": "delta"},
            model=moody,
            plane="spark",
            on_error="null",
        )
    assert not (tmp_path / "out").exists()


def test_a_row_that_crashes_the_model_of_a_spark_worker_is_quarantined(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    deadly = save_deadly(tmp_path_factory.mktemp("deadly") / "model")
    pq.write_table(pa.table({"id": range(5), "x": [0.0, RAISES, SEGFAULTS, 3.0, 4.0]}), tmp_path / "in.parquet")
    report = score_table(
        spark,
        source=str(tmp_path / "in.parquet"),
        target={"path": str(tmp_path / "out"), "format": "delta"},
        model=deadly,
        on_error="quarantine",
        quarantine={"path": str(tmp_path / "aside"), "format": "delta", "columns": ["id"]},
        isolation="process",
    )
    scored = DeltaTable(tmp_path / "out").to_pyarrow_table().sort_by("id").to_pylist()
    assert [(row["id"], row["prediction"]) for row in scored] == [(0, 0.0), (3, 3.0), (4, 4.0)]
    aside = DeltaTable(tmp_path / "aside").to_pyarrow_table().sort_by("id").to_pylist()
    assert [(row["id"], row["source_row"], row["error_class"]) for row in aside] == [
        (1, 1, "ValueError"),
        (2, 2, "ModelCrashedError"),
    ]
    assert (report.rows_scored, report.rows_quarantined) == (3, 2)
