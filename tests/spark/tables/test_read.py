"""Reading: one snapshot, partitions pruned, and every wrong source refused before Spark runs anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyarrow import parquet as pq
from pyspark.sql import SparkSession

from spark_infer.config import ResourceOptions, SourceConfig
from spark_infer.engines.spark.engine import SparkEngine
from spark_infer.errors import EnvironmentProblem, PlanError, SourceError
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.starting_session import started
from spark_infer.spark.tables.frames import read
from spark_infer.spark.tables.spark_tables import SparkTables
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.schema import schema_of
from spark_infer.tables.source import open_snapshot
from tests.spark.since import HAS_GENERATED_COLUMNS
from tests.spark.tables.seen import no_spark_job, read_back, rows_of

ROWS = pa.table({"id": pa.array(range(6), pa.int64()), "month": pa.array([10, 10, 11, 11, 12, None], pa.int32())})


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """Version 0 with six rows by month, version 1 with six more."""
    path = tmp_path / "delta"
    for _ in range(2):
        write_deltalake(path, ROWS, partition_by=["month"], mode="append")
    return path


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "parquet"
    pq.write_to_dataset(ROWS, path, partition_cols=["month"])
    return path


def source(path: Path | str, **more: object) -> SourceConfig:
    return SourceConfig.model_validate({"path": str(path), **more})


def test_a_run_reads_the_version_it_began_with(spark: SparkSession, delta: Path) -> None:
    begun = open_snapshot(SparkTables(spark), source(delta))
    write_deltalake(delta, ROWS, mode="append")
    assert (begun.version, begun.rows, begun.partition_columns) == (1, 12, ("month",))
    assert read(spark, begun, source(delta)).count() == 12
    assert open_snapshot(SparkTables(spark), source(delta)).version == 2
    assert read_back(spark, source(delta, version=0)).count() == 6


def test_counts_come_without_a_job_and_are_those_of_the_partitions_asked_for(
    spark: SparkSession, delta: Path, parquet: Path
) -> None:
    with no_spark_job(spark):
        of_delta = open_snapshot(SparkTables(spark), source(delta, partition_filter={"month": [10, None]}))
        of_parquet = open_snapshot(SparkTables(spark), source(parquet, partition_filter={"month": [10, None]}))
    assert (of_delta.rows, of_delta.files) == (6, 4)
    assert (of_parquet.rows, of_parquet.files) == (3, 2)
    sizes = [file.stat().st_size for month in ("10", "__HIVE*") for file in parquet.glob(f"month={month}/*")]
    assert of_parquet.size_bytes == sum(sizes)


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_partition_filter_opens_the_files_of_its_partitions_only(
    spark: SparkSession, request: pytest.FixtureRequest, kind: str
) -> None:
    path: Path = request.getfixturevalue(kind)
    for file in [*path.glob("month=11/*.parquet"), *path.glob("month=12/*.parquet")]:
        file.write_bytes(b"PAR1" + b"\xff" * 40 + file.read_bytes()[44:])  # the footer is whole, the rows are not
    config = source(path, partition_filter={"month": [10]}, where="id % 2 = 1")
    assert {row["id"] for row in read_back(spark, config).collect()} == {1}
    with pytest.raises(Exception, match=r"CANNOT_READ_FILE|FAILED_READ_FILE|error while reading file"):
        read_back(spark, source(path)).collect()


def test_parquet_files_of_another_writer_need_no_schema_of_sparks(spark: SparkSession, parquet: Path) -> None:
    assert rows_of(read_back(spark, source(parquet))) == set(zip(*ROWS.to_pydict().values(), strict=True))
    assert read_back(spark, source(next(parquet.rglob("*.parquet")))).columns == ["id"]


PLAIN = {"b": pa.bool_(), "i": pa.int32(), "l": pa.int64(), "f": pa.float32(), "d": pa.float64(), "s": pa.string()}
OTHERS = {
    "tiny": pa.int8(),
    "unsigned": pa.uint32(),
    "day": pa.date32(),
    "at": pa.timestamp("us", tz="UTC"),
    "code": pa.dictionary(pa.int32(), pa.string()),
    "raw": pa.binary(),
    "price": pa.decimal128(9, 2),
    "many": pa.list_(pa.float64()),
}


def test_plain_columns_of_another_writer_have_the_types_that_spark_finds(spark: SparkSession, tmp_path: Path) -> None:
    for name, kinds in (("plain", PLAIN), ("others", PLAIN | OTHERS)):
        (tmp_path / name).mkdir()
        schema = pa.schema([pa.field(each, kind, nullable=each != "l") for each, kind in kinds.items()])
        pq.write_table(schema.empty_table(), tmp_path / name / "a.parquet")
        found = spark.read.parquet(str(tmp_path / name)).schema
        assert read_back(spark, source(tmp_path / name)).schema == found
    with no_spark_job(spark):
        read_back(spark, source(tmp_path / "plain"))


def test_partition_folders_keep_their_text_unless_every_one_is_written_as_the_number(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = pa.table({"id": [1, 2], "p": ["001", "1"], "day": ["2013-10-01", "2013-10-02"]})
    pq.write_to_dataset(rows, tmp_path / "t", partition_cols=["p", "day"])
    frame = read_back(spark, source(tmp_path / "t"))
    assert frame.dtypes == [("id", "bigint"), ("p", "string"), ("day", "date")]
    one = read_back(spark, source(tmp_path / "t", partition_filter={"p": ["001"], "day": ["2013-10-01"]}))
    assert [row["id"] for row in one.collect()] == [1]
    with pytest.raises(SourceError, match=r"p: the column is a string: write '1' in quotes"):
        open_snapshot(SparkTables(spark), source(tmp_path / "t", partition_filter={"p": [1]}))


def test_planning_a_read_of_spark_written_tables_starts_no_job(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(3).write.parquet(str(tmp_path / "p"))
    spark.range(3).write.format("delta").save(str(tmp_path / "d"))
    with no_spark_job(spark):
        for name in ("p", "d"):
            assert read_back(spark, source(tmp_path / name, where="id > 1")).columns == ["id"]


def test_columns_that_only_newer_files_have_are_read_as_null_from_older_ones(
    spark: SparkSession, tmp_path: Path
) -> None:
    spark.range(1).write.parquet(str(tmp_path / "t"))
    spark.range(1, 2).selectExpr("id", "1.5D AS delay").write.mode("append").parquet(str(tmp_path / "t"))
    assert rows_of(read_back(spark, source(tmp_path / "t"))) == {(0, None), (1, 1.5)}


WRONG = {
    "missing": ({"path": "{tmp}/parqet"}, r"nothing at .*/parqet \(did you mean 'parquet'\?\)"),
    "empty folder": ({"path": "{tmp}/empty"}, r"holds no table"),
    "damaged footer": ({"path": "{tmp}/damaged"}, r"damaged/b\.parquet is not a readable Parquet file"),
    "another format": ({"path": "{tmp}/text"}, r"rows\.csv is not a readable Parquet file"),
    "delta as parquet": ({"path": "{delta}", "format": "parquet"}, r"is a Delta table, and `format: parquet`"),
    "parquet as delta": ({"path": "{parquet}", "format": "delta"}, r"is a Parquet table, and `format: delta`"),
    "inside delta": ({"path": "{delta}/month=10"}, r"lies inside the Delta table .*/delta\."),
    "no such version": ({"path": "{delta}", "version": 7}, r"no version 7\.\n.* 0 to 1\."),
    "version of parquet": ({"path": "{parquet}", "version": 0}, r"has no versions"),
    "pattern": ({"path": "{parquet}/month=*"}, r"holds a pattern"),
    "no partition column": (
        {"path": "{delta}", "partition_filter": {"mnth": [1]}},
        r"'mnth' is no partition column \(did you mean 'month'\?\); there are: month",
    ),
    "wrong partition value": ({"path": "{delta}", "partition_filter": {"month": ["010"]}}, r"'010' is not of .* int"),
    "unknown column": ({"path": "{delta}", "where": "idd > 1"}, r"no column 'idd' \(did you mean 'id'\?\)"),
    "syntax": ({"path": "{delta}", "where": "id >> > 1"}, r"Syntax error at or near '>'"),
    "a condition cut short": ({"path": "{delta}", "where": "id = 1 AND"}, r"Syntax error at or near"),
    "no condition": ({"path": "{delta}", "where": "id + 1"}, r"is not a boolean"),
    "missing table": ({"table": "flighs_x"}, r"no table flighs_x in the catalog"),
    "no table name": ({"table": "a; DROP TABLE b"}, r"is no table name"),
    "mixed folders": ({"path": "{tmp}/mixed"}, r"mixes partition folders: stray\.parquet does not lie in month=…"),
}


@pytest.mark.parametrize(("asked", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_source_is_refused_before_any_job_with_the_next_step(
    spark: SparkSession, tmp_path: Path, delta: Path, parquet: Path, asked: dict[str, object], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name, content in {"damaged/b.parquet": b"PAR1 and no more", "text/rows.csv": b"id\n1\n"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    shutil.copytree(parquet, tmp_path / "mixed")
    pq.write_table(ROWS, tmp_path / "mixed" / "stray.parquet")
    places = {"tmp": tmp_path, "delta": delta, "parquet": parquet}
    filled = {key: value.format(**places) if key == "path" else value for key, value in asked.items()}  # type: ignore[attr-defined]

    if asked.get("where") is None:  # Delta reads a log without statistics of its own in small jobs
        with no_spark_job(spark), pytest.raises(SourceError, match=message) as refused:
            read_back(spark, SourceConfig.model_validate(filled))
    else:
        with pytest.raises(SourceError, match=message) as refused:
            read_back(spark, SourceConfig.model_validate(filled))
    assert len(str(refused.value).splitlines()) <= 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.sql.files.ignoreCorruptFiles", "true"),
        ("spark.sql.files.ignoreMissingFiles", "true"),
        ("mapreduce.fileoutputcommitter.algorithm.version", "2"),
    ],
)
def test_settings_that_lose_rows_are_refused_by_name(spark: SparkSession, name: str, value: str) -> None:
    spark.conf.set(name, value)
    try:
        with (
            pytest.raises(EnvironmentProblem, match=rf"{name}={value}"),
            SparkEngine(started(spark), ResourceOptions()).planning(),
        ):
            raise AssertionError("the job is planned all the same")
    finally:
        spark.conf.unset(name)


def test_the_log_of_a_delta_table_says_its_columns_as_spark_shows_them(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "t"
    made_by_delta = ", g BIGINT GENERATED ALWAYS AS (id + 1), w BIGINT GENERATED ALWAYS AS IDENTITY"
    made_by_delta = made_by_delta if HAS_GENERATED_COLUMNS else ""
    spark.sql(
        f"CREATE TABLE delta.`{path}` (id BIGINT NOT NULL COMMENT 'a key', c CHAR(3), v VARCHAR(5), "
        "s STRUCT<a: INT NOT NULL, b: ARRAY<STRING>>, m MAP<STRING, DECIMAL(10, 2)>, n TIMESTAMP_NTZ, t TIMESTAMP, "
        "d DATE, b BINARY, x FLOAT, p STRING, "
        f"e INT DEFAULT 7{made_by_delta}) USING delta PARTITIONED BY (p) "
        "TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.feature.allowColumnDefaults' = 'supported')"
    )
    found = open_snapshot(SparkTables(spark), source(path))
    assert found.is_declared
    shown = to_arrow(read(spark, found, source(path, partition_filter={"p": ["q"]})).schema)
    assert shown.equals(schema_of(found), check_metadata=True)


def test_a_log_with_a_checkpoint_and_deletion_vectors_counts_what_delta_counts(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "t"
    spark.sql(
        f"CREATE TABLE delta.`{path}` (id BIGINT, `in month` INT) USING delta PARTITIONED BY (`in month`) "
        "TBLPROPERTIES ('delta.enableDeletionVectors' = true, 'delta.columnMapping.mode' = 'name', "
        "'delta.checkpointInterval' = 2)"
    )
    rows = spark.range(100).selectExpr("id", "CAST(id % 2 AS INT) AS `in month`").coalesce(1)
    rows.write.format("delta").mode("append").save(str(path))
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id < 10")
    checkpoints = list((path / "_delta_log").glob("*.checkpoint*.parquet"))
    one = open_snapshot(SparkTables(spark), source(path, partition_filter={"in month": [1]}))
    assert checkpoints
    assert one.rows == 45
    assert open_snapshot(SparkTables(spark), source(path)).rows == 90 == read_back(spark, source(path)).count()


def test_a_delta_source_that_python_cannot_replay_is_described_by_spark(
    spark: SparkSession, delta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_infer.tables.delta.log.MOST_LOG_BYTES", 0)
    found = open_snapshot(SparkTables(spark), source(delta, partition_filter={"month": [10]}))
    assert (found.version, found.partition_columns, found.partition_types) == (1, ("month",), ("int",))
    assert (found.rows, found.files, found.size_bytes) == (None, None, None)
    assert read(spark, found, source(delta, partition_filter={"month": [10]})).count() == 4


def without(kind: str) -> Callable[[Path], None]:
    return rewritten(lambda action: None if kind in action else action)


def rewritten(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Callable[[Path], None]:
    def damage(log: Path) -> None:
        for commit in log.glob("*.json"):
            actions = [change(json.loads(line)) for line in commit.read_text().splitlines()]
            commit.write_text("\n".join(json.dumps(action) for action in actions if action is not None))

    return damage


def no_checkpoint(log: Path) -> None:
    DeltaTable(log.parent).create_checkpoint()
    for file in (log / f"{0:020}.json", *log.glob("*.checkpoint.parquet")):
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda log: (log / f"{0:020}.json").unlink(), "commit of version 0"),
        (no_checkpoint, "commit of version 0"),
        (lambda log: (log / f"{1:020}.json").write_text("{not json"), "an action of it"),
        (without("protocol"), "no protocol action"),
        (without("metaData"), "no metadata action"),
    ],
    ids=["a gap", "no checkpoint", "no JSON", "no protocol", "no metadata"],
)
def test_a_damaged_log_is_refused_in_words_with_spark_and_without(
    spark: SparkSession, delta: Path, damage: Callable[[Path], None], why: str
) -> None:
    damage(delta / "_delta_log")
    spark.sql("CLEAR CACHE")
    for lookup, told in ((SparkTables(spark), "Delta cannot read"), (LocalTables(), why)):
        with pytest.raises(SourceError, match=told) as refused:
            open_snapshot(lookup, source(delta))
        assert str(delta) in str(refused.value)
        assert refused.value.next_step
        assert "engine: spark" not in str(refused.value)


def test_a_vanished_file_is_an_error_and_not_fewer_rows(spark: SparkSession, delta: Path) -> None:
    frame = read_back(spark, source(delta))
    (delta / DeltaTable(delta).file_uris()[0].split("/delta/")[1]).unlink()
    with pytest.raises(Exception, match=r"FILE_NOT_EXIST|SparkFileNotFoundException") as failed:
        frame.collect()
    assert not isinstance(failed.value, PlanError)


def test_files_whose_types_do_not_go_together_are_named(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for kind in (pa.int32(), pa.int64()):
        pq.write_table(pa.table({"id": pa.array([1], kind)}), tmp_path / "in" / f"{kind}.parquet")
    with pytest.raises(SourceError, match=r'Failed to merge incompatible data types "(BIG)?INT" and "(BIG)?INT"'):
        read_back(spark, source(tmp_path / "in"))
