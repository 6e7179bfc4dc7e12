"""A function over the numbers of tasks, run by Spark: one partition for each number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import StructType

from spark_infer.runtime.assignment import Assignment
from spark_infer.spark.mapping import mapped
from spark_infer.spark.resources.stage import Stage
from spark_infer.spark.worker import task_assignment

Work = Callable[[int, Assignment], Iterator[pa.RecordBatch]]
"""Does the task of a number and yields rows; pickled to the workers."""


def over_numbers(spark: SparkSession, count: int, work: Work, schema: StructType, stage: Stage) -> DataFrame:
    """Return the rows that the tasks 0 to ``count - 1`` yield; lazy.

    Args:
        spark: The session.
        count: How many tasks there are.
        work: Does one of them.
        schema: Columns of the rows.
        stage: What a task gets.
    """
    return _mapped(spark, count, partial(_work_on, work=work, resources=stage.resources), schema, stage)


def collected(spark: SparkSession, count: int, work: Work, schema: StructType, stage: Stage) -> list[Row]:
    """Run what `over_numbers` describes, in one action, and return the rows.

    A task begins before Spark has sent its number, which is that of its partition. Otherwise each would wait: Spark
    sends the function, then the number, and between two small packets TCP may wait for an acknowledgement that the
    other side holds back, which took 40 ms of every task on Linux.
    """
    function = partial(_work_ahead, work=work, count=count, resources=stage.resources)
    return _mapped(spark, count, function, schema, stage).collect()


def _mapped(spark: SparkSession, count: int, function: Any, schema: StructType, stage: Stage) -> DataFrame:
    function.__name__ = "spark_infer.scan_and_score"  # the name of the operator in Spark's plans
    return mapped(_numbers(spark, count), function, schema, profile=stage.profile)


def _numbers(spark: SparkSession, count: int) -> DataFrame:
    # Even without a task there is one partition, which does nothing.
    return spark.range(0, count, 1, max(1, count))


def _work_on(batches: Iterator[pa.RecordBatch], *, work: Work, resources: Any) -> Iterator[pa.RecordBatch]:
    assigned = task_assignment(resources)
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield from work(number, assigned)


def _work_ahead(
    batches: Iterator[pa.RecordBatch], *, work: Work, count: int, resources: Any
) -> Iterator[pa.RecordBatch]:
    context: Any = TaskContext.get()
    number = context.partitionId()
    if number < count:
        yield from work(number, task_assignment(resources))
    sent = [each for batch in batches for each in batch.column(0).to_pylist()]
    if sent != [number][:count]:
        raise RuntimeError(f"Spark sent the numbers {sent} to the partition {number}; nothing of it is published.")
