"""A function over the numbers of tasks, run by Spark: one partition for each number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_infer.models.place import Place
from spark_infer.spark.mapping import mapped
from spark_infer.spark.resources import Stage
from spark_infer.spark.worker import task_place

Work = Callable[[int, Place], Iterator[pa.RecordBatch]]
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
    function: Any = partial(_work_on, work=work, resources=stage.resources)
    function.__name__ = "spark_infer.scan_and_score"  # the name of the operator in Spark's plans
    # Even without a task there is one partition, which does nothing.
    numbers = spark.range(0, count, 1, max(1, count))
    return mapped(numbers, function, schema, profile=stage.profile)


def _work_on(batches: Iterator[pa.RecordBatch], *, work: Work, resources: Any) -> Iterator[pa.RecordBatch]:
    place = task_place(resources)
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield from work(number, place)
