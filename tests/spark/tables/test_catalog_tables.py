"""Tables by their name in the catalog: made, added to, replaced, and known again by their path."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.errors import SourceError, TargetError
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.tables.spark_tables import SparkTables
from spark_infer.tables.check_target import plan_write
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import open_snapshot
from tests.spark.tables.conftest import Put
from tests.spark.tables.seen import read_back, rows_of

both_formats = pytest.mark.parametrize("kind", ["delta", "parquet"])


def target(name: str, mode: str = "error_if_exists", **more: object) -> TargetConfig:
    return TargetConfig.model_validate({"table": name, "mode": mode, **more})


@both_formats
def test_a_table_is_made_added_to_and_replaced(
    spark: SparkSession, flights: DataFrame, put: Put, table: str, kind: str
) -> None:
    made = put(flights.where("id < 6"), target(table, format=kind, partition_by=["month"]))
    assert (made.rows, made.version) == (6, 0 if kind == "delta" else None)
    added = put(flights.where("id >= 6"), target(f"default.{table}", "append"))
    assert (added.rows, added.location.format) == (6, kind)
    assert rows_of(spark.table(table).select(*flights.columns)) == rows_of(flights)

    put(flights.where("id = 0"), target(table, "overwrite_partitions", partitions={"month": [10, 11]}))
    assert {row["id"] for row in spark.table(table).collect()} == {0, 2, 5, 8, 11}

    put(flights.where("id = 4"), target(table, "overwrite"))
    frame = read_back(spark, SourceConfig.model_validate({"table": table, "partition_filter": {"month": [11]}}))
    assert {row["id"] for row in frame.collect()} == {4}
    assert spark.table(table).count() == 1


@pytest.mark.parametrize("kind", ["delta", pytest.param("parquet", marks=pytest.mark.soak)])
def test_a_failing_job_leaves_the_name_free_and_the_old_rows_in_place(
    spark: SparkSession, flights: DataFrame, failing: DataFrame, put: Put, table: str, kind: str
) -> None:
    with pytest.raises(Exception, match="the model fails here"):
        put(failing, target(table, format=kind))
    assert not spark.catalog.tableExists(table)
    put(flights, target(table, format=kind))
    with pytest.raises(Exception, match="the model fails here"):
        put(failing, target(table, "overwrite"))
    assert rows_of(spark.table(table)) == rows_of(flights)


@both_formats
def test_a_name_and_its_path_are_the_same_table(
    spark: SparkSession, flights: DataFrame, put: Put, table: str, kind: str
) -> None:
    put(flights, target(table, format=kind))
    by_name = open_snapshot(SparkTables(spark), SourceConfig(table=f"spark_catalog.default.{table}"))
    assert by_name.rows == 12
    place = by_name.location.path or ""
    by_path = open_snapshot(SparkTables(spark), SourceConfig(path=place))
    for snapshot, other in ((by_name, {"path": place}), (by_path, {"table": table})):
        config = TargetConfig.model_validate({**other, "mode": "overwrite"})
        with pytest.raises(TargetError, match="shares its folder"):
            plan_write(SparkTables(spark), config, snapshot=snapshot, schema=to_arrow(flights.schema))


def test_a_new_table_may_not_land_inside_the_source(
    spark: SparkSession, flights: DataFrame, snapshot: Snapshot, table: str, tmp_path: Path
) -> None:
    spark.sql(f"CREATE DATABASE db_{table} LOCATION '{tmp_path}/source/db'")
    try:
        flights.write.mode("append").parquet(str(tmp_path / "source"))
        inside = open_snapshot(SparkTables(spark), SourceConfig(path=str(tmp_path / "source")))
        with pytest.raises(TargetError, match="shares its folder"):
            plan_write(
                SparkTables(spark), target(f"db_{table}.scores"), snapshot=inside, schema=to_arrow(flights.schema)
            )
    finally:
        spark.sql(f"DROP DATABASE db_{table}")


def test_views_other_formats_and_near_names_are_named(spark: SparkSession, flights: DataFrame, table: str) -> None:
    flights.write.format("json").saveAsTable(table)
    flights.createOrReplaceTempView(f"view_{table}")
    with pytest.raises(SourceError, match="is a json table"):
        open_snapshot(SparkTables(spark), SourceConfig(table=table))
    with pytest.raises(SourceError, match="is a view, not a table"):
        open_snapshot(SparkTables(spark), SourceConfig(table=f"view_{table}"))
    with pytest.raises(SourceError, match=re.escape(f"did you mean '{table}'")):
        open_snapshot(SparkTables(spark), SourceConfig(table=f"{table}s"))
    spark.catalog.dropTempView(f"view_{table}")


def test_a_parquet_table_of_the_catalog_keeps_its_declared_columns(
    spark: SparkSession, snapshot: Snapshot, flights: DataFrame, put: Put, table: str
) -> None:
    put(flights, target(table, format="parquet", partition_by=["month"]))
    for more in ({"partition_by": ["id"]}, {}):
        config, frame = target(table, "overwrite", **more), flights.withColumn("extra", flights["id"])
        with pytest.raises(TargetError, match="do not fit"):
            plan_write(SparkTables(spark), config, snapshot=snapshot, schema=to_arrow(frame.schema))
