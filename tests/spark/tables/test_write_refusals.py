"""A target that does not fit is refused with all its problems, before Spark runs anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyarrow import parquet as pq
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.errors import TargetError, WriteError
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.tables.spark_tables import SparkTables
from spark_infer.tables.check_target import plan_write
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import open_snapshot
from tests.spark.tables.conftest import put_rows
from tests.spark.tables.seen import no_spark_job, tree

SPELLINGS: dict[str, Callable[[Path], str]] = {
    "as it is": str,
    "trailing slash": lambda path: f"{path}/",
    "double slash": lambda path: f"{path.parent}//{path.name}",
    "file:": lambda path: f"file:{path}",
    "file:///": lambda path: f"file://{path}",
    "upper-case scheme": lambda path: f"FILE://{path}",
    "..": lambda path: f"{path.parent}/elsewhere/../{path.name}",
    "relative": lambda path: os.path.relpath(path),
    "symbolic link": lambda path: f"{path.parent}/link",
    "inside": lambda path: f"{path}/month=13",
    "deep inside": lambda path: f"{path}/not/there/yet",
    "around": lambda path: str(path.parent),
}


def spelled(path: Path) -> list[tuple[str, str]]:
    """Every spelling with one write mode, and every write mode with the plain one."""
    modes = [("as it is", mode) for mode in ("error_if_exists", "append", "overwrite_partitions")]
    return [(SPELLINGS[name](path), mode) for name, mode in [*modes, *((name, "overwrite") for name in SPELLINGS)]]


def test_the_source_is_no_target_in_any_spelling_and_any_mode(
    spark: SparkSession, existing: Path, flights: DataFrame
) -> None:
    (existing.parent / "link").symlink_to(existing)
    before = tree(existing.parent)
    snapshot = open_snapshot(SparkTables(spark), SourceConfig(path=str(existing)))
    with no_spark_job(spark):
        for path, mode in spelled(existing):
            scope = {"month": [10]} if mode == "overwrite_partitions" else {}
            target = TargetConfig.model_validate({"path": path, "mode": mode, "partitions": scope})
            with pytest.raises(TargetError, match=r"shares its folder|lies inside the Delta table"):
                plan_write(SparkTables(spark), target, snapshot=snapshot, schema=to_arrow(flights.schema))
    assert tree(existing.parent) == before


@pytest.fixture(params=["delta", "parquet"])
def existing(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A table of id, delay and month, partitioned by month."""
    rows = pa.table({"id": [1, 2], "delay": [0.5, 1.0], "month": pa.array([10, 11], pa.int32())})
    if request.param == "delta":
        write_deltalake(tmp_path / "scores", rows, partition_by=["month"])
    else:
        pq.write_to_dataset(rows, tmp_path / "scores", partition_cols=["month"])
    return tmp_path / "scores"


def refused(spark: SparkSession, snapshot: Snapshot, frame: DataFrame, **target: object) -> tuple[str, ...]:
    config = TargetConfig.model_validate({key: str(v) if key == "path" else v for key, v in target.items()})
    with pytest.raises(TargetError) as error:
        plan_write(SparkTables(spark), config, snapshot=snapshot, schema=to_arrow(frame.schema))
    assert error.value.next_step
    return error.value.details


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_columns_that_no_table_can_hold_are_listed(
    spark: SparkSession, snapshot: Snapshot, tmp_path: Path, kind: str
) -> None:
    frame = spark.sql("SELECT 1 AS a, 2 AS A, NULL AS nothing, array(1) AS list, INTERVAL '1' DAY AS day")
    details = refused(spark, snapshot, frame, path=tmp_path / "new", format=kind, partition_by=["list", "lst", "list"])
    assert details == (
        "the column 'a' occurs 2 times",
        "nothing: the type void cannot be stored",
        "day: the type interval day cannot be stored",
        "list: a table cannot be partitioned by array<int>",
        "'list' is named 2 times",
        "there is no column 'lst' (did you mean 'list'?)",
    )


def test_all_columns_cannot_be_partitions_and_delta_forbids_blanks(
    spark: SparkSession, snapshot: Snapshot, tmp_path: Path
) -> None:
    frame = spark.sql("SELECT 1 AS `a b`, 2 AS c")
    details = refused(spark, snapshot, frame, path=tmp_path / "new", format="delta", partition_by=["a b", "c"])
    assert [detail.split(":")[0] for detail in details] == [
        "'a b'",
        "all columns are named, which leaves none for the files",
    ]


def test_nulls_inside_a_value_are_checked_where_the_format_does_not(
    spark: SparkSession, snapshot: Snapshot, tmp_path: Path
) -> None:
    path = tmp_path / "scores"
    spark.sql(f"CREATE TABLE delta.`{path}` (id INT NOT NULL, s STRUCT<a: INT NOT NULL>, l ARRAY<INT>) USING delta")
    frame = spark.sql("SELECT CAST(NULL AS INT) AS id, named_struct('a', CAST(NULL AS INT)) AS s, array(1) AS l")
    details = refused(spark, snapshot, frame, path=path, mode="append")
    assert details == ("s: a value inside may be null, which the table's struct<a:int> does not allow",)


def test_a_file_and_a_folder_that_is_in_use_are_no_place_to_write(
    spark: SparkSession, snapshot: Snapshot, flights: DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    assert refused(spark, snapshot, flights, path=tmp_path / "file", format="parquet") == ()
    assert refused(spark, snapshot, flights, path=tmp_path / "file" / "below") == ()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "_SUCCESS").touch()
    assert refused(spark, snapshot, flights, path=tmp_path / "other") == ("It holds: _SUCCESS",)


def test_an_overwrite_that_would_take_foreign_files_with_it_is_refused(
    spark: SparkSession, snapshot: Snapshot, flights: DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "scores"
    flights.write.partitionBy("month").parquet(str(path))
    plan_write(
        SparkTables(spark),
        TargetConfig(path=str(path), mode="overwrite"),
        snapshot=snapshot,
        schema=to_arrow(flights.schema),
    )
    for name in (".git/HEAD", "notes.txt", "sub/thesis.doc"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("mine")
    details = refused(spark, snapshot, flights, path=path, mode="overwrite")
    assert details == ("It holds: .git/HEAD, notes.txt, sub/thesis.doc",)


def test_a_table_that_appears_after_the_plan_is_not_touched(
    spark: SparkSession, snapshot: Snapshot, flights: DataFrame, tmp_path: Path
) -> None:
    for kind in ("parquet", "delta"):
        path = tmp_path / kind
        target = TargetConfig.model_validate({"path": str(path), "format": kind})
        plan = plan_write(SparkTables(spark), target, snapshot=snapshot, schema=to_arrow(flights.schema))
        path.mkdir()
        pq.write_table(pa.table({"id": [1]}), path / "other.parquet")
        with pytest.raises(WriteError, match="was made by another writer"):
            put_rows(flights, plan, {})
        assert list(tree(path)) == ["other.parquet"]
    assert {child.name for child in tmp_path.iterdir()} == {"parquet", "delta"}
