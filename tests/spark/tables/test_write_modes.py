"""What Spark's own writes promise beyond the conformance suite: failing jobs, sizes of files, names and types."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.spark.tables.settings import settings
from tests.pairwise import pairwise
from tests.spark.tables.conftest import Put
from tests.spark.tables.seen import hidden_beside, read_back, tree

Format = Literal["delta", "parquet"]
MODES = ("append", "overwrite_partitions", "overwrite")

both_formats = pytest.mark.parametrize("kind", ["delta", "parquet"])


def target(path: Path, kind: Format, mode: str = "error_if_exists", **more: object) -> TargetConfig:
    if mode == "overwrite_partitions":
        more = {"partitions": {"month": [10, 11]}, **more}
    return TargetConfig.model_validate({"path": str(path), "format": kind, "mode": mode, **more})


def write_old(path: Path, kind: Format, *ids: int) -> None:
    """A table that was there before, by month, of another program: Spark would need a second for each."""
    rows = pa.table({"id": ids, "delay": [each * 0.5 for each in ids], "month": [10 + each % 3 for each in ids]})
    rows = rows.cast(pa.schema([("id", pa.int64()), ("delay", pa.float64()), ("month", pa.int32())]))
    if kind == "delta":
        write_deltalake(path, rows, partition_by=["month"])
    else:
        pq.write_to_dataset(rows, path, partition_cols=["month"])


def stored(path: Path, kind: Format) -> list[tuple[int, float, int]]:
    """The rows of a table as deltalake or pyarrow reads them."""
    if kind == "delta":
        found = DeltaTable(path).to_pyarrow_table()
    else:
        found = ds.dataset(path, format="parquet", partitioning="hive").to_table()
    return sorted(zip(*(found[name].to_pylist() for name in ("id", "delay", "month")), strict=True))


def expected(*ids: int) -> list[tuple[int, float, int]]:
    return [(each, each * 0.5, 10 + each % 3) for each in ids]


def test_rows_that_a_filter_below_left_out_do_not_trip_the_check_of_the_scope(
    spark: SparkSession, tmp_path: Path, flights: DataFrame, put: Put
) -> None:
    put(flights, target(tmp_path / "all", "delta", partition_by=["month"]))
    some = read_back(spark, SourceConfig(path=str(tmp_path / "all"), where="id % 3 < 2"))
    put(some, target(tmp_path / "some", "parquet", "overwrite_partitions", partition_by=["month"]))
    assert stored(tmp_path / "some", "parquet") == expected(0, 1, 3, 4, 6, 7, 9, 10)


@pytest.mark.parametrize(("mode", "kind"), pairwise(MODES, ["delta", "parquet"]))
def test_a_failing_job_leaves_every_byte_of_the_old_table(
    tmp_path: Path, failing: DataFrame, put: Put, kind: Format, mode: str
) -> None:
    path = tmp_path / "scores"
    write_old(path, kind, *range(12))
    before = tree(path)

    with pytest.raises(Exception, match="the model fails here"):
        put(failing.where("month < 12 OR id = 11"), target(path, kind, mode, **_all_months(mode)))

    after = tree(path)
    # Delta keeps the finished tasks' files, outside its log, until VACUUM.
    assert before.items() <= after.items() if kind == "delta" else before == after
    assert {name for name in after if "_delta_log" in name} == {name for name in before if "_delta_log" in name}
    assert stored(path, kind) == expected(*range(12))
    assert hidden_beside(path) == []


def _all_months(mode: str) -> dict[str, object]:
    return {"partitions": {"month": [10, 11, 12]}} if mode == "overwrite_partitions" else {}


@both_formats
def test_a_failing_job_leaves_nothing_where_there_was_nothing(
    tmp_path: Path, failing: DataFrame, put: Put, kind: Format
) -> None:
    with pytest.raises(Exception, match="the model fails here"):
        put(failing, target(tmp_path / "scores", kind))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["delta", pytest.param("parquet", marks=pytest.mark.soak)])
def test_spark_reads_a_table_without_rows_with_its_types(
    spark: SparkSession, tmp_path: Path, flights: DataFrame, put: Put, kind: Format
) -> None:
    path = tmp_path / "scores"
    written = put(flights.where("id < 0"), target(path, kind, partition_by=["month"]))
    empty = read_back(spark, SourceConfig(path=str(path)))
    assert (written.rows, empty.count()) == (0, 0)
    assert empty.dtypes == [("id", "bigint"), ("delay", "double"), ("month", "int")]
    assert stored(path, kind) == []

    put(flights, target(path, kind, "append", partition_by=["month"]))
    assert stored(path, kind) == expected(*range(12))
    assert read_back(spark, SourceConfig.model_validate({"path": str(path), "where": "month = 10"})).count() == 4


@pytest.mark.matrix
def test_a_file_size_cuts_files_and_the_session_keeps_its_settings(
    spark: SparkSession, tmp_path: Path, put: Put
) -> None:
    name = "spark.sql.adaptive.advisoryPartitionSizeInBytes"
    rows = spark.range(0, 400_000, 1, 8).selectExpr("id", "rand(1) AS delay", "CAST(1 AS INT) AS month")
    with settings(spark, {name: "64m", "spark.sql.adaptive.enabled": "true"}):
        one = put(rows, target(tmp_path / "one", "parquet", partition_by=["month"], target_file_bytes=2**30))
        many = put(rows, target(tmp_path / "many", "parquet", partition_by=["month"], target_file_bytes=2**20))
        assert spark.conf.get(name) == "64m"
        assert spark.conf.get("spark.sql.parquet.outputTimestampType") == "INT96"
    assert one.files == 1
    assert many.files > 2
    assert one.notes == ()


def test_a_file_size_without_adaptive_execution_is_reported_as_void(
    spark: SparkSession, tmp_path: Path, flights: DataFrame, put: Put
) -> None:
    with settings(spark, {"spark.sql.adaptive.enabled": "false"}):
        written = put(flights, target(tmp_path / "scores", "parquet", target_file_bytes=2**20))
    assert "spark.sql.adaptive.enabled is false" in written.notes[0]


@pytest.mark.matrix
@both_formats
def test_timestamps_are_stored_as_microseconds_and_awkward_names_survive(
    spark: SparkSession, tmp_path: Path, put: Put, kind: Format
) -> None:
    path = tmp_path / "scores"
    rows = spark.sql("SELECT TIMESTAMP '2013-10-27 02:30:00.123456' AS at, 9007199254740993 AS `it.em`, 1 AS `p``q`")
    put(rows, target(path, kind, partition_by=["p`q"], target_file_bytes=2**20))
    file = next(path.rglob("part-*.parquet"))
    schema = ds.dataset(file).schema
    assert str(schema.field("at").type) == "timestamp[us, tz=UTC]"
    read = read_back(spark, SourceConfig.model_validate({"path": str(path), "partition_filter": {"p`q": [1]}}))
    assert [row["it.em"] for row in read.collect()] == [2**53 + 1]
    assert pc.sum(ds.dataset(file).to_table()["it.em"]).as_py() == 2**53 + 1
