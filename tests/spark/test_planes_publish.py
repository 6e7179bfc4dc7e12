"""What the direct plane writes: published whole or not at all, and left to Spark where that has rules to apply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from spark_infer import score_table
from spark_infer.engines import plane as plane_choice
from spark_infer.errors import PlanError, SourceReadError, WriteError
from spark_infer.job.run import run_job
from spark_infer.spark.tables.settings import settings
from tests.spark.odd_tables import (
    ROWS,
    numbers,
    old_calendar,
    other_case,
    out_of_pythons_years,
    pairs_with_nulls,
    prepared,
    rows_of,
)


def plain_numbers() -> pa.Table:
    return pa.table({"id": np.arange(ROWS), "x": np.arange(ROWS) / 4})


def write_numbers(folder: Path, kind: str) -> None:
    """As Spark would, in three files, in milliseconds: who has written a source matters in test_planes.py alone."""
    folder.mkdir()
    for number in range(3):
        rows = plain_numbers().slice(number * ROWS // 3, ROWS // 3)
        if kind == "delta":
            write_deltalake(folder, rows, mode="append")
        else:
            pq.write_table(rows, folder / f"{number}.parquet")


@pytest.mark.parametrize("make", [pytest.param(old_calendar, marks=pytest.mark.soak), other_case])
def test_a_file_that_only_spark_reads_is_met_by_a_worker_and_spark_reads_all(
    spark: SparkSession, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    make(spark, tmp_path / "in")
    monkeypatch.setattr(plane_choice, "footer_doubts", lambda footers, scan: ())
    source = {"path": str(tmp_path / "in")}
    job = prepared(spark, line, source, {"path": str(tmp_path / "out")}, "auto")
    assert job.plane.name == "direct"
    report = run_job(job)
    assert "began again on the spark plane" in report.warnings[0]
    by_spark = run_job(prepared(spark, line, source, {"path": str(tmp_path / "spark")}, "spark"))
    assert by_spark.rows_scored == report.rows_scored >= ROWS
    written = [spark.read.parquet(str(tmp_path / folder)) for folder in ("out", "spark")]
    assert rows_of(written[0]) == rows_of(written[1])
    assert {path.name for path in tmp_path.iterdir() if path.name[0] != "."} == {"in", "out", "spark"}


def vanish(file: Path) -> None:
    file.unlink()


def write_again(file: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table.set_column(1, "x", pa.array(np.zeros(len(table)))), file)


@pytest.mark.parametrize(
    ("kind", "damage", "why"),
    [
        ("parquet", vanish, "vanished"),
        ("delta", write_again, "was written again"),
        pytest.param("parquet", write_again, "was written again", marks=pytest.mark.soak),
        pytest.param("delta", vanish, "vanished", marks=pytest.mark.soak),
    ],
)
def test_a_file_that_changes_after_the_plan_fails_the_run_and_nothing_is_published(
    spark: SparkSession, line: str, tmp_path: Path, damage: Callable[[Path], None], why: str, kind: str
) -> None:
    write_numbers(tmp_path / "in", kind)
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")}
    run_job(prepared(spark, line, source, target, "auto"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    job = prepared(spark, line, source, {**target, "mode": "append"}, "auto")
    damage(next((tmp_path / "in").glob("*.parquet")))
    with pytest.raises(SourceReadError, match=why):
        run_job(job)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert {path.name for path in tmp_path.iterdir()} == {".out.spark_infer", "in", "out"}
    assert not list((tmp_path / ".out.spark_infer").rglob("*.parquet"))


RULES = {
    "constraint few": "ALTER TABLE {table} ADD CONSTRAINT few CHECK (prediction < 1e9)",
    "change data feed": "ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "deletionVectors": "ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
}


ONE_RULE = [
    "constraint few",
    *(pytest.param(rule, marks=pytest.mark.soak) for rule in ("", "change data feed", "deletionVectors")),
]


@pytest.mark.parametrize("rule", ONE_RULE)
def test_a_delta_target_that_has_rules_of_its_own_is_written_by_spark(
    spark: SparkSession, line: str, tmp_path: Path, rule: str
) -> None:
    write_numbers(tmp_path / "in", "delta")
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")}
    run_job(prepared(spark, line, source, target, "auto"))
    if rule:
        spark.sql(RULES[rule].format(table=f"delta.`{tmp_path / 'out'}`"))
    job = prepared(spark, line, source, {**target, "mode": "append"}, "auto")
    assert job.plane.name == "direct"
    assert (job.plane.sink is None) == bool(rule)
    assert rule in job.plane.writes_why
    assert run_job(job).rows_scored == ROWS
    assert spark.read.format("delta").load(str(tmp_path / "out")).count() == 2 * ROWS


def test_workers_append_overwrite_and_replace_partitions_of_a_delta_table(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    rows = plain_numbers()
    parts = pa.array([each % 3 for each in range(ROWS)], pa.int32())
    write_deltalake(tmp_path / "in", rows.append_column("part", parts), partition_by=["part"])
    place = {"path": str(tmp_path / "out")}

    def run(target: dict[str, Any], **source: Any) -> int | None:
        job = prepared(spark, line, {"path": str(tmp_path / "in"), **source}, {**place, **target}, "direct")
        assert job.plane.sink is not None
        return run_job(job).target_version

    def counts() -> dict[int, int]:
        return Counter(DeltaTable(str(tmp_path / "out")).to_pyarrow_table()["part"].to_pylist())

    third = ROWS // 3
    assert run({"partition_by": "part"}) == 0
    assert run({"mode": "append"}, partition_filter={"part": [1]}) == 1
    assert counts() == {0: third, 1: 2 * third, 2: third}
    only = {"part": [1]}
    assert run({"mode": "overwrite_partitions", "partitions": only}, partition_filter=only) == 2
    assert counts() == {0: third, 1: third, 2: third}
    assert run({"mode": "overwrite"}, partition_filter={"part": [0, 2]}) == 3
    assert counts() == {0: third, 2: third}
    history = spark.sql(f"DESCRIBE HISTORY delta.`{tmp_path / 'out'}`").collect()
    assert all('"writer":"spark_infer"' in row["userMetadata"] for row in history)
    assert history[0]["operationMetrics"]["numOutputRows"] == str(2 * third)
    assert spark.read.format("delta").load(str(tmp_path / "out")).count() == 2 * third
    with pytest.raises(WriteError, match="outside the table partitions"):
        run({"mode": "overwrite_partitions", "partitions": only}, where="id >= 0")
    assert counts() == {0: third, 2: third}


@pytest.mark.parametrize(
    "rule",
    ["ADD COLUMN (y STRING)", pytest.param("ADD CONSTRAINT few CHECK (prediction < 1e9)", marks=pytest.mark.soak)],
)
def test_a_target_that_another_writer_changes_meanwhile_takes_nothing(
    spark: SparkSession, line: str, tmp_path: Path, rule: str
) -> None:
    write_numbers(tmp_path / "in", "delta")
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")}
    run_job(prepared(spark, line, source, target, "auto"))
    job = prepared(spark, line, source, {**target, "mode": "append"}, "auto")
    assert job.plane.sink is not None
    spark.sql(f"ALTER TABLE delta.`{tmp_path / 'out'}` {rule}")
    files = set((tmp_path / "out").glob("*.parquet"))
    with pytest.raises(WriteError, match="changed by another writer"):
        run_job(job)
    assert set((tmp_path / "out").glob("*.parquet")) == files
    assert DeltaTable(str(tmp_path / "out")).to_pyarrow_table().num_rows == ROWS


CONDITIONS = (
    "f > 5",
    "f >= 0",
    "f <= -0.0",
    "isnan(f)",
    "s > 'zzü'",
    "s < 'zz'",
    "d < date'1970-01-01'",
    "x > 70",
)


@pytest.mark.parametrize("kind", [pytest.param("parquet", marks=pytest.mark.soak), "delta"])
def test_conditions_find_the_same_rows_in_what_workers_wrote(
    spark: SparkSession, line: str, tmp_path: Path, kind: str
) -> None:
    numbers(
        spark,
        "CASE id % 5 WHEN 0 THEN double('NaN') WHEN 1 THEN NULL ELSE -0.0D END AS f",
        "concat('zz', repeat('ü', CAST(id % 40 AS int))) AS s",
        "date_add(date'1969-12-01', CAST(id AS int)) AS d",
    ).write.parquet(str(tmp_path / "in"))
    place = tmp_path / "o ü #x"
    target = {"path": str(place), "format": kind}
    job = prepared(spark, line, {"path": str(tmp_path / "in")}, target, "direct")
    assert job.plane.sink is not None
    run_job(job)
    run_job(prepared(spark, line, {"path": str(tmp_path / "in")}, {**target, "mode": "append"}, "direct"))
    source, written = spark.read.parquet(str(tmp_path / "in")), spark.read.format(kind).load(str(place))
    found = {condition: written.where(condition).count() for condition in CONDITIONS}
    assert found == {condition: 2 * source.where(condition).count() for condition in CONDITIONS}
    assert min(found[condition] for condition in CONDITIONS if condition != "s < 'zz'") > 0


def test_a_delta_target_whose_path_the_committing_library_would_decode_is_written_by_spark(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    write_numbers(tmp_path / "in", "parquet")
    target = {"path": str(tmp_path / "o%41"), "format": "delta"}
    job = prepared(spark, line, {"path": str(tmp_path / "in")}, target, "auto")
    assert (job.plane.name, job.plane.sink) == ("direct", None)
    run_job(job)
    assert spark.read.format("delta").load(str(tmp_path / "o%41")).count() == ROWS


@pytest.mark.parametrize("make", [out_of_pythons_years, pairs_with_nulls])
def test_what_python_or_pyarrow_cannot_hold_passes_through(
    spark: SparkSession, line: str, tmp_path: Path, make: Any
) -> None:
    make(spark, tmp_path / "in")
    reports = [
        run_job(prepared(spark, line, {"path": str(tmp_path / "in")}, {"path": str(tmp_path / plane)}, plane))
        for plane in ("auto", "spark")
    ]
    assert [report.rows_scored for report in reports] == [ROWS, ROWS]
    same = ("id", "day", "odd") if make is out_of_pythons_years else ("id", "pair")
    plain = [spark.read.parquet(str(tmp_path / plane)).selectExpr(*_as_texts(same)) for plane in ("auto", "spark")]
    assert rows_of(plain[0]) == rows_of(plain[1])


def _as_texts(names: tuple[str, ...]) -> list[str]:
    return [f"hex(CAST({name} AS string)) AS {name}" for name in names]


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["overwrite", "overwrite_partitions"])
def test_an_overwrite_replaces_files_whose_names_spark_did_not_escape(
    spark: SparkSession, line: str, tmp_path: Path, mode: str
) -> None:
    numbers(spark, "'é' AS word").write.format("delta").save(str(tmp_path / "in"))
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out"), "partition_by": "word"}
    run_job(prepared(spark, line, source, target, "spark"))
    again = {**target, "mode": mode, **({"partitions": {"word": ["é"]}} if mode == "overwrite_partitions" else {})}
    for _ in range(2):
        run_job(prepared(spark, line, source, again, "auto"))
        assert spark.read.format("delta").load(str(tmp_path / "out")).count() == ROWS
        assert DeltaTable(str(tmp_path / "out")).to_pyarrow_table().num_rows == ROWS


@pytest.mark.parametrize(
    ("name", "value", "kind", "why"),
    [
        ("spark.sql.parquet.compression.codec", "brotli", "parquet", "codec is brotli"),
        ("spark.sql.parquet.writeLegacyFormat", "true", "parquet", "writeLegacyFormat is true"),
        ("parquet.crypto.factory.class", "org.example.Factory", "parquet", "to be encrypted"),
        ("spark.databricks.delta.properties.defaults.appendOnly", "true", "delta", "is for Spark to apply"),
    ],
)
def test_a_session_that_wants_other_files_has_spark_write_them(
    spark: SparkSession, line: str, tmp_path: Path, name: str, value: str, kind: str, why: str
) -> None:
    write_numbers(tmp_path / "in", "parquet")
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out"), "format": kind}
    assert prepared(spark, line, source, target, "auto").plane.sink is not None
    with settings(spark, {name: value}):
        plane = prepared(spark, line, source, target, "auto").plane
    assert (plane.scan is not None, plane.sink) == (True, None)
    assert why in plane.writes_why


def test_an_overwrite_by_workers_keeps_the_order_and_the_comments_of_the_columns(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    write_numbers(tmp_path / "in", "delta")
    columns = "model_version STRING, prediction DOUBLE COMMENT 'the score', x DOUBLE, id BIGINT COMMENT 'key', "
    columns += "scored_at TIMESTAMP, model_name STRING"
    spark.sql(f"CREATE TABLE delta.`{tmp_path / 'out'}` ({columns}) USING delta")
    before = spark.read.format("delta").load(str(tmp_path / "out")).schema
    target = {"path": str(tmp_path / "out"), "mode": "overwrite"}
    job = prepared(spark, line, {"path": str(tmp_path / "in")}, target, "auto")
    for _ in range(2):
        run_job(job)
        job = prepared(spark, line, {"path": str(tmp_path / "in")}, target, "auto")
    after = spark.read.format("delta").load(str(tmp_path / "out"))
    assert (after.schema, after.count()) == (before, ROWS)


def test_a_parquet_table_without_rows_keeps_its_partition_column(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    numbers(spark, "'a' AS word", "CAST(id % 2 AS int) AS n").write.partitionBy("n").parquet(str(tmp_path / "in"))
    source = {"path": str(tmp_path / "in"), "partition_filter": {"n": [7]}}
    target = {"path": str(tmp_path / "out"), "partition_by": "word"}
    run_job(prepared(spark, line, source, target, "direct"))
    assert "word" in spark.read.parquet(str(tmp_path / "out")).columns


def test_a_parquet_table_of_the_catalog_is_read_with_its_own_options(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        pq.write_table(pa.table({"id": np.arange(5), "x": np.arange(5.0)}), tmp_path / "in" / f"{name}.parquet")
    options = f"OPTIONS ('pathGlobFilter' = 'a*') LOCATION '{tmp_path / 'in'}'"
    spark.sql(f"CREATE TABLE globbed (id BIGINT, x DOUBLE) USING parquet {options}")
    try:
        target = {"path": str(tmp_path / "out")}
        assert run_job(prepared(spark, line, {"table": "globbed"}, target, "auto")).rows_scored == 5
    finally:
        spark.sql("DROP TABLE globbed")


def test_files_of_a_commit_stay_when_what_follows_the_commit_fails(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    write_numbers(tmp_path / "in", "delta")
    source, target = {"path": str(tmp_path / "in")}, {"path": str(tmp_path / "out")}
    run_job(prepared(spark, line, source, target, "auto"))
    spark.sql(f"ALTER TABLE delta.`{tmp_path / 'out'}` SET TBLPROPERTIES ('delta.checkpointInterval' = '1')")
    last = tmp_path / "out" / "_delta_log" / "_last_checkpoint"
    if last.exists():
        last.unlink()
    (last / "in the way").mkdir(parents=True)
    job = prepared(spark, line, source, {**target, "mode": "append"}, "auto")
    assert job.plane.sink is not None
    assert run_job(job).target_version == 2
    assert DeltaTable(str(tmp_path / "out"), version=2).to_pyarrow_table().num_rows == 2 * ROWS


@pytest.mark.parametrize("plane", ["spark", "direct"])
def test_equal_rows_are_predicted_once_and_the_report_says_so(
    spark: SparkSession, line: str, tmp_path: Path, plane: str
) -> None:
    rows = spark.range(0, 400, 1, 1).selectExpr("id", "CAST(id % 7 AS double) AS x")
    rows.write.parquet(str(tmp_path / "in"))
    report = score_table(
        spark,
        source=str(tmp_path / "in"),
        target={"path": str(tmp_path / "out"), "format": "parquet"},
        model=line,
        plane=plane,
        deduplicate="always",
        batch_size=50,
    )
    assert (report.rows_scored, report.rows_predicted) == (400, 7)
    assert "7 predicted, the others are equal to one of them" in str(report)
    wrong = spark.read.parquet(str(tmp_path / "out")).where("abs(prediction - 2 * x) > 1e-9 OR x <> id % 7")
    assert wrong.count() == 0


def test_workers_of_spark_look_up_and_keep_predictions(spark: SparkSession, line: str, tmp_path: Path) -> None:
    write_numbers(tmp_path / "in", "delta")
    found = []
    for name, where in (("one", f"id < {ROWS // 2}"), ("two", "id >= 0")):
        report = score_table(
            spark,
            source={"path": str(tmp_path / "in"), "where": where},
            target={"path": str(tmp_path / name), "keep": ["id"]},
            model=line,
            cache={"path": str(tmp_path / "cache"), "format": "parquet"},
        )
        found.append((report.prediction_cache_hits, report.prediction_cache_misses))
    assert found == [(0, ROWS // 2), (ROWS // 2, ROWS - ROWS // 2)]
    rows = DeltaTable(tmp_path / "two").to_pyarrow_table().sort_by("id")
    assert rows.column("prediction").to_pylist() == [key / 2 for key in range(ROWS)]
    folders = [str(tmp_path / name) for name in ("in", "three", "cache")]
    with pytest.raises(PlanError, match="cache needs workers that read the source and write the target"):
        score_table(spark, source=folders[0], target=folders[1], model=line, plane="spark", cache=folders[2])
    # Whoever cleans a cache with Spark sees it as it is.
    cached = spark.read.parquet(str(tmp_path / "cache"))
    assert cached.where("model_version is not null").count() == cached.select("row_digest").distinct().count() == ROWS
