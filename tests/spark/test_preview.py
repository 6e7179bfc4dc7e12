"""A preview by tasks of Spark: whoever reads the rows, they are those that a run writes, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_infer import ScoringJob
from spark_infer.config import JobConfig


@pytest.mark.parametrize(("plane", "kind"), [("direct", "delta"), ("spark", "parquet")])
def test_a_preview_shows_rows_of_the_target_and_writes_nothing(
    spark: SparkSession, line: str, tmp_path: Path, plane: str, kind: str
) -> None:
    rows = spark.range(0, 400, 1, 3).selectExpr("id", "id / 4 AS x", "id % 2 AS part", "timestamp_seconds(id) AS `a.t`")
    rows.write.format(kind).partitionBy("part").save(str(tmp_path / "in"))
    source: dict[str, Any] = {"path": str(tmp_path / "in"), "partition_filter": {"part": 1}, "where": "id > 100"}
    document = {"model": line, "source": source, "target": str(tmp_path / "out"), "plane": plane, "units": {"bytes": 1}}
    job = ScoringJob(JobConfig.model_validate(document))
    first = job.preview(spark, rows=120)
    assert first.rows.num_rows == 120
    assert first.plane.startswith(plane)
    assert {row["id"] % 2 for row in first.rows.to_pylist()} == {1}
    assert all(row["prediction"] == pytest.approx(row["id"] / 2) for row in first.rows.to_pylist())
    assert all(row["a.t"].timestamp() == row["id"] for row in first.rows.to_pylist())
    drawn = job.preview(spark, rows=10, sample=0.5, seed=3)
    assert drawn.rows.num_rows == 10
    assert 45 < drawn.rows_scored < 105  # 75 of 150, and nearly five times the deviation of 6.1
    assert drawn.rows_scored == job.preview(spark, rows=10, sample=0.5, seed=3).rows_scored
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert first.rows.column_names == list(job.plan(spark).target_columns)
