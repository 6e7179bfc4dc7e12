"""Rows that lack columns of the table they are added to: null there, or filled by Delta, as for Spark's own writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_infer import ScoringJob
from spark_infer.config import JobConfig
from spark_infer.errors import TargetError
from spark_infer.job.run import run_job
from tests.spark.odd_tables import rows_of
from tests.spark.prepared import prepare_on
from tests.spark.since import HAS_GENERATED_COLUMNS, generated_columns
from tests.spark.test_merge import PLAIN

ROWS = 4
DEFAULTS = "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')"
TABLES = {
    "null": ("id BIGINT, note STRING, prediction DOUBLE, more STRUCT<a: INT>", ""),
    "filled": (
        "k BIGINT GENERATED ALWAYS AS IDENTITY, id BIGINT, half BIGINT GENERATED ALWAYS AS (id DIV 2), "
        "prediction DOUBLE, state STRING DEFAULT 'new'",
        f"PARTITIONED BY (half) {DEFAULTS}",
    ),
}
if not HAS_GENERATED_COLUMNS:
    del TABLES["filled"]


def made(spark: SparkSession, folder: Path, name: str) -> str:
    columns, more = TABLES[name]
    spark.sql(f"CREATE TABLE delta.`{folder}` ({columns}) USING delta {more}")
    return str(folder)


def job(line: str, source: Path, target: str, **more: object) -> JobConfig:
    to = {"path": target, "mode": "append", "keep": ["id"], **PLAIN, **more}
    return JobConfig.model_validate({"model": {"uri": line}, "source": {"path": str(source)}, "target": to})


def test_an_append_fills_them_as_sparks_own_append_does(spark: SparkSession, line: str, tmp_path: Path) -> None:
    spark.range(0, ROWS, 1, 2).selectExpr("id", "id / 4D AS x").write.parquet(str(tmp_path / "in"))
    theirs = spark.read.parquet(str(tmp_path / "in")).selectExpr("id", "x * 2 AS prediction")
    for name in TABLES:
        target, other = (made(spark, tmp_path / f"{name}-{who}", name) for who in ("ours", "sparks"))
        prepared = prepare_on(spark, job(line, tmp_path / "in", target))
        assert (prepared.plane.sink is not None) == (name == "null"), (name, prepared.plane.writes_why)
        assert "as the table fills them" in prepared.write.how
        assert run_job(prepared).rows_scored == ROWS
        theirs.write.format("delta").mode("append").save(other)
        found, expected = (spark.read.format("delta").load(path) for path in (target, other))
        assert found.schema == expected.schema
        # Identity values are any numbers, each once.
        assert rows_of(found.drop("k")) == rows_of(expected.drop("k"))
        assert "k" not in found.columns or found.select("k").distinct().count() == ROWS


@generated_columns
def test_a_merge_leaves_them_as_they_are_and_fills_those_of_new_rows(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    spark.range(2).selectExpr("id", "id / 4D AS x").write.parquet(str(tmp_path / "in"))
    columns = (
        "id BIGINT, note STRING, prediction DOUBLE, twice DOUBLE GENERATED ALWAYS AS (prediction * 2), part STRING"
    )
    spark.sql(f"CREATE TABLE delta.`{tmp_path / 'out'}` ({columns}) USING delta PARTITIONED BY (part)")
    spark.sql(f"INSERT INTO delta.`{tmp_path / 'out'}` (id, note, prediction, part) VALUES (1, 'old', 9.0, 'p')")
    ScoringJob(job(line, tmp_path / "in", str(tmp_path / "out"), mode="merge", keys=["id"])).run(spark)
    found = spark.read.format("delta").load(str(tmp_path / "out")).orderBy("id").collect()
    assert [tuple(row) for row in found] == [(0, None, 0.0, 0.0, None), (1, "old", 0.5, 1.0, "p")]


def test_columns_that_nothing_fills_are_refused(spark: SparkSession, line: str, tmp_path: Path) -> None:
    spark.range(2).selectExpr("id", "id / 4D AS x").write.parquet(str(tmp_path / "in"))
    columns = "id BIGINT, k INT NOT NULL, prediction DOUBLE, part STRING"
    spark.sql(f"CREATE TABLE delta.`{tmp_path / 'out'}` ({columns}) USING delta PARTITIONED BY (part)")
    for more, missing in (
        ({}, ("missing: k int, which is NOT NULL", "missing: part string")),
        (
            {"mode": "overwrite_partitions", "partitions": {"part": ["a"]}},
            ("there is no column 'part'", "missing: k int, which is NOT NULL", "missing: part string"),
        ),
    ):
        with pytest.raises(TargetError) as refused:
            ScoringJob(job(line, tmp_path / "in", str(tmp_path / "out"), **more)).plan(spark)
        assert set(missing) <= set(refused.value.details)
