"""Every logical type of Parquet: workers read the types and the values that Spark reads, or leave them to Spark."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spark_infer import score_table
from spark_infer.config import SourceConfig
from spark_infer.core.casts import in_utc
from spark_infer.errors import SchemaMismatchError
from spark_infer.spark.versions import arrow_table
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.scan.cut import cut
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.read_eligibility import footer_doubts
from spark_infer.tables.scan.task import Scan
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import open_snapshot
from spark_infer.tables.spark_json import type_names
from tests.logical_types import LOGICAL, write, written_alike

READ_BY_SPARK = [name for name, column in LOGICAL.items() if column.spark is not None]


def found_in(folder: Path) -> Snapshot:
    return open_snapshot(LocalTables(), SourceConfig(path=str(folder)))


def read_by_workers(found: Snapshot, table: pa.Schema) -> pa.Table:
    scan = Scan(uri=found.location.path or "", schema=table)
    assert found.listing is not None
    assert footer_doubts(found.listing.footers.values(), scan) == ()
    return pa.Table.from_batches(
        (batch for task in cut(found.listing, 1) for batch in read_task(task, scan)), schema=table
    )


@pytest.mark.parametrize("names", written_alike(READ_BY_SPARK), ids=lambda names: names[0])
def test_types_and_values_are_sparks(spark: SparkSession, tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "f.parquet", *names)
    frame = spark.read.parquet(str(tmp_path / "in"))
    types = {field.name: field.dataType.simpleString() for field in frame.schema}
    assert types == {"id": "bigint", "x": "double", **{name: LOGICAL[name].spark for name in names}}

    found = found_in(tmp_path / "in")
    assert found.listing is not None
    mine = schema_of(found)
    assert type_names(mine) == types
    for name in (name for name in names if not LOGICAL[name].carried):  # Spark reads, whatever else is wanted
        scan = Scan(uri="", schema=pa.schema([mine.field(name)]))
        assert footer_doubts(found.listing.footers.values(), scan), name
    if carried := [name for name in names if LOGICAL[name].carried]:
        rows = arrow_table(frame.select(*map(quoted, carried)))
        theirs = pa.Table.from_batches([in_utc(each) for each in rows.to_batches()])
        ours = read_by_workers(found, pa.schema([mine.field(name) for name in carried]))
        for name in carried:
            assert repr(ours[name].to_pylist()) == repr(theirs[name].to_pylist()), name


def quoted(name: str) -> str:
    return f"`{name}`"


def test_spark_refuses_what_it_is_said_to_refuse(spark: SparkSession, tmp_path: Path) -> None:
    for name in set(LOGICAL) - set(READ_BY_SPARK):
        write(tmp_path / "f.parquet", name)
        with pytest.raises((PySparkException, Py4JJavaError)):
            spark.read.parquet(str(tmp_path / "f.parquet")).collect()


@pytest.mark.parametrize("name", ["nanoseconds", "interval"])
def test_what_spark_refuses_does_not_keep_it_from_the_other_columns(
    spark: SparkSession, line: str, tmp_path: Path, name: str
) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "f.parquet", name)
    for plane in ("spark", "auto"):
        target = {"path": str(tmp_path / plane), "keep": ["id"]}
        score_table(spark, source=str(tmp_path / "in"), target=target, model=line, plane=plane)
        assert sorted(row.id for row in spark.read.parquet(str(tmp_path / plane)).collect()) == [0, 1, 2]
    with pytest.raises(SchemaMismatchError, match="which Spark does not read") as refused:
        score_table(spark, source=str(tmp_path / "in"), target=str(tmp_path / "all"), model=line)
    assert "keep=" in str(refused.value)
    assert "engine: spark" not in str(refused.value)
