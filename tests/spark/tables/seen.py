"""Ways to see what happened on disk and in Spark."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import SourceConfig
from spark_infer.spark.tables.frames import read
from spark_infer.spark.tables.spark_tables import SparkTables
from spark_infer.tables.source import open_snapshot


def read_back(spark: SparkSession, source: SourceConfig) -> DataFrame:
    return read(spark, open_snapshot(SparkTables(spark), source), source)


def rows_of(frame: DataFrame) -> set[tuple[object, ...]]:
    return {tuple(row) for row in frame.collect()}


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, with the digest of its bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def hidden_beside(table: Path) -> list[str]:
    """What a write may have left beside a table."""
    return [path.name for path in table.parent.iterdir() if path.name.startswith(".")]


@contextmanager
def no_spark_job(spark: SparkSession) -> Iterator[None]:
    """A block in which Spark starts no job."""
    context, group = spark.sparkContext, uuid.uuid4().hex
    context.setJobGroup(group, "nothing may run here")
    try:
        yield
    finally:
        jobs = list(context.statusTracker().getJobIdsForGroup(group))
        context.setJobGroup("free", "anything may run here")
    assert jobs == []
