"""Conditions that workers evaluate keep the rows that Spark keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import JobConfig
from spark_infer.errors import SourceError
from spark_infer.job.describe import plan_of
from spark_infer.job.run import run_job
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.versions import arrow_table
from spark_infer.tables.where.mask import outcome
from spark_infer.tables.where.sql import condition
from tests.spark.prepared import prepare_on

ODD = """SELECT * FROM VALUES
 (0, 1Y, 1, 1L, float(0.1), 0.1D, 1.50BD, 'a', true, date'2026-01-31'),
 (1, -128Y, -2147483648, -9223372036854775808L, float('NaN'), double('NaN'), -1.50BD, '', false, date'0001-01-01'),
 (2, 127Y, 2147483647, 9223372036854775807L, float('Infinity'), double('Infinity'), 99999999.99BD, 'é', NULL,
   date'9999-12-31'),
 (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (4, 0Y, 0, 0L, float('-0.0'), -0.0D, 0.00BD, 'B', true, date'2026-02-01'),
 (5, 2Y, 2, 9007199254740993L, float(16777216), 9007199254740992D, 2.00BD, '\U0001f600', false, date'1582-10-15'),
 (6, 3Y, 3, 9007199254740992L, float('-Infinity'), double('-Infinity'), 1.00BD, ' a ', true, date'1582-10-04')
 AS t(id, i8, i32, i64, f32, f64, money, s, yes, day)"""

CONDITIONS = [
    *(f"{name} {op} {value}" for name in ("i8", "i32", "i64") for op in ("=", "<", ">=", "<>") for value in (-1, 1, 3)),
    *(
        f"{name} {op} {value}"
        for name in ("f32", "f64")
        for op in ("=", "<", "<=", ">", ">=", "!=")
        for value in ("0", "0.1", "-0.0", "1e300", "1")
    ),
    *(f"NOT f64 {op} 0.1" for op in ("=", "<", "<=", ">", ">=")),
    *(f"money {op} {value}" for op in ("=", "<", ">=") for value in ("1", "1.5", "1.50", "-1.50", "0")),
    *(f"s {op} '{value}'" for op in ("=", "<", ">", "<=") for value in ("", "a", "é", "￿", "\U0001f600", "A")),
    *(f"day {op} '{value}'" for op in ("=", "<", ">=") for value in ("2026-01-31", "1582-10-10", "0001-01-01")),
    "i8 > 1000",
    "i8 <> 1000",
    "i32 = 9223372036854775807",
    "i64 >= 9007199254740993",
    "f64 = 9007199254740993",
    "f32 = 16777216",
    "f32 >= 16777216.5",
    "f64 IN (0, 1)",
    "f64 NOT IN (0.1, 1e0)",
    "f32 IN (0.1, 0)",
    "i32 IN (1, 2, 3000000000)",
    "s IN ('a', '')",
    "s NOT IN ('a', '')",
    "day IN ('2026-01-31', '2026-02-01')",
    "day BETWEEN DATE '2026-01-01' AND '2026-12-31'",
    "yes",
    "NOT yes",
    "yes = false",
    "yes IS NOT TRUE",
    "yes IS FALSE",
    "yes <=> true",
    "i32 <=> 1",
    "NOT i32 <=> 1",
    "i32 IS NULL OR f64 > 5",
    "NOT (i32 IS NOT NULL AND f64 > 5)",
    "yes OR i32 > 1",
    "yes AND i32 > 1 OR s = 'é' AND NOT day < '2000-01-01'",
    "i32 NOT BETWEEN 1 AND 2",
    "TRUE",
    "FALSE OR yes",
    "S = 'a' AND `I32` = 1",
]


@pytest.fixture(scope="module")
def odd(spark: SparkSession) -> DataFrame:
    return spark.sql(ODD).selectExpr("* except (money)", "CAST(money AS decimal(10, 2)) AS money").coalesce(1)


@pytest.mark.parametrize("ansi", ["true", "false"])
def test_a_condition_has_the_outcome_that_spark_finds(spark: SparkSession, odd: DataFrame, ansi: str) -> None:
    before = spark.conf.get("spark.sql.ansi.enabled") or "true"
    spark.conf.set("spark.sql.ansi.enabled", ansi)
    try:
        # Cached and repartitioned, so that Spark evaluates over rows and folds nothing.
        rows = odd.repartition(1).cache()
        found = rows.selectExpr("id", *(f"({text}) AS `{at}`" for at, text in enumerate(CONDITIONS)))
        expected = sorted(map(tuple, found.collect()))
        table = arrow_table(rows).sort_by("id").combine_chunks()
    finally:
        spark.conf.set("spark.sql.ansi.enabled", before)
    schema = to_arrow(odd.schema)
    (batch,) = table.cast(schema).to_batches()
    for at, text in enumerate(CONDITIONS):
        mine = outcome(condition(text, schema), batch).to_pylist()
        assert mine == [row[at + 1] for row in expected], text


def write_source(folder: Path, kind: str, *, rows: int = 100, files: int = 1) -> None:
    """Write ids in order with ``x`` = id / 4, as Spark would in a hundred times the time."""
    folder.mkdir()
    for number, ids in enumerate(np.split(np.arange(rows), files)):
        table = pa.table({"id": ids, "x": ids / 4, "even": ids % 2 == 0, "n": ids})
        if kind == "delta":
            write_deltalake(folder, table, mode="append")
        else:
            pq.write_table(table, folder / f"{number}.parquet")


def job(source: dict[str, Any], target: Path, model: str) -> JobConfig:
    return JobConfig.model_validate(
        {"name": "where", "model": {"uri": model}, "source": source, "target": {"path": str(target)}}
    )


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_job_with_a_condition_reads_only_files_that_may_hold_its_rows(
    spark: SparkSession, tmp_path: Path, line: str, kind: str
) -> None:
    write_source(tmp_path / "source", kind, rows=1000, files=10)
    source = {"path": str(tmp_path / "source"), "where": "n >= 850 AND even"}
    prepared = prepare_on(spark, job({**source, "where": "n >= 850 AND even"}, tmp_path / "scored", line))
    assert prepared.plane.name == "direct"
    # The log of a Delta table tells the bounds of each file; those of Parquet are in its footers, for the workers.
    assert prepared.plane.left_out == (8 if kind == "delta" else 0)
    assert ("8 more files hold no row of `where`" in str(plan_of(prepared))) is (kind == "delta")
    report = run_job(prepared)
    scored = spark.read.format(kind).load(str(tmp_path / "scored"))
    assert sorted(row.id for row in scored.select("id").collect()) == list(range(850, 1000, 2))
    assert all(row.prediction == pytest.approx(2 * row.id / 4) for row in scored.collect())
    assert report.rows_scored == 75


def test_a_condition_on_a_partition_leaves_out_files_and_its_column_need_not_be_kept(
    spark: SparkSession, tmp_path: Path, line: str
) -> None:
    rows = spark.range(0, 100, 1, 1).selectExpr("id", "CAST(id AS double) / 4 AS x", "CAST(id % 4 AS int) AS part")
    rows.write.partitionBy("part").parquet(str(tmp_path / "source"))
    config = job({"path": str(tmp_path / "source"), "where": "part IN (1, 2) AND id < 50"}, tmp_path / "scored", line)
    config = config.model_copy(update={"target": config.target.model_copy(update={"keep": ("x",)})})
    prepared = prepare_on(spark, config)
    assert (prepared.plane.name, prepared.plane.left_out) == ("direct", 2)
    assert run_job(prepared).rows_scored == 25
    scored = spark.read.parquet(str(tmp_path / "scored"))
    assert "part" not in scored.columns
    assert sorted(row.x for row in scored.collect()) == [n / 4 for n in range(50) if n % 4 in (1, 2)]


def test_no_row_that_meets_the_condition_leaves_a_readable_table(
    spark: SparkSession, tmp_path: Path, line: str
) -> None:
    write_source(tmp_path / "source", "delta")
    prepared = prepare_on(
        spark, job({"path": str(tmp_path / "source"), "where": "id > 1000"}, tmp_path / "scored", line)
    )
    assert prepared.plane.name == "direct"
    assert run_job(prepared).rows_scored == 0
    assert spark.read.format("delta").load(str(tmp_path / "scored")).count() == 0


def test_what_only_spark_evaluates_goes_by_the_spark_plane_and_the_plan_says_why(
    spark: SparkSession, tmp_path: Path, line: str
) -> None:
    write_source(tmp_path / "source", "parquet")
    prepared = prepare_on(
        spark, job({"path": str(tmp_path / "source"), "where": "id % 2 = 0"}, tmp_path / "scored", line)
    )
    assert prepared.plane.name == "spark"
    assert "only Spark can evaluate `where`: it has 'mod'" in str(plan_of(prepared))
    assert run_job(prepared).rows_scored == 50


def test_a_condition_over_a_missing_column_is_refused_as_ever(spark: SparkSession, tmp_path: Path, line: str) -> None:
    write_source(tmp_path / "source", "parquet")
    with pytest.raises(SourceError, match="cannot be used"):
        prepare_on(spark, job({"path": str(tmp_path / "source"), "where": "idd > 2"}, tmp_path / "scored", line))
