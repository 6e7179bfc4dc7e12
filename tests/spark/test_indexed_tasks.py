"""Tasks that begin before Spark has sent their numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StructField, StructType

from spark_infer.config import ResourceOptions
from spark_infer.runtime.assignment import Assignment
from spark_infer.spark import indexed_tasks
from spark_infer.spark.resources.stage import plan_stage

SCHEMA = StructType([StructField("number", LongType())])


def told(number: int, place: Assignment) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pydict({"number": pa.array([number, number], pa.int64())})


@pytest.mark.parametrize("count", [0, 1, 5])
def test_each_number_is_worked_on_once(spark: SparkSession, count: int) -> None:
    rows = indexed_tasks.collected(spark, count, told, SCHEMA, plan_stage(spark, ResourceOptions()))
    assert sorted(row["number"] for row in rows) == sorted([*range(count)] * 2)


def test_a_partition_that_spark_numbers_otherwise_fails(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexed_tasks, "_numbers", lambda spark, count: spark.range(1, count + 1, 1, count))
    with pytest.raises(Exception, match=r"Spark sent the numbers \[\d\] to the partition \d"):
        indexed_tasks.collected(spark, 2, told, SCHEMA, plan_stage(spark, ResourceOptions()))
