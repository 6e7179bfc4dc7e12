"""Scored rows in two tables: those that the model failed for go to one of their own, before the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_infer.spark.schema import to_spark
from spark_infer.spark.stamp import time_literal
from spark_infer.tables.predicate import quote_name

REASON = "_spark_infer_reason"
"""A column of our own that says why a row has no prediction."""


@dataclass(frozen=True)
class ScoredApart:
    """Scored rows that are kept for two writes, and why some have no prediction.

    Attributes:
        frame: The rows, with `REASON`.
        rows: How many there are.
        classes: How many of them are bad, by the class of the exception.
    """

    frame: DataFrame
    rows: int
    classes: Mapping[str, int]

    @property
    def bad(self) -> int:
        """How many rows have no prediction."""
        return sum(self.classes.values())

    def good_rows(self, columns: Sequence[str]) -> DataFrame:
        """Those with a prediction, as the target has them."""
        return self.frame.where(f"{REASON} IS NULL").select(*map(quote_name, columns))

    def bad_rows(self, schema: pa.Schema, values: Mapping[str, str | int | datetime | None]) -> DataFrame:
        """Those without, as their table has them.

        Args:
            schema: The table's columns.
            values: Those of its columns that have one value in all rows.
        """
        columns = (_column(field.name, values).cast(field.dataType).alias(field.name) for field in to_spark(schema))
        return self.frame.where(f"{REASON} IS NOT NULL").select(*columns)


@contextmanager
def scored_apart(frame: DataFrame) -> Iterator[ScoredApart]:
    """Score rows in one action, and keep them while the block runs: the model is asked once for both writes.

    Args:
        frame: The scored rows, lazy, with `REASON`.
    """
    kept = frame.persist()
    try:
        counts = kept.groupBy(f"{REASON}.error_class").count().collect()
        classes = {str(name): int(count) for name, count in counts if name is not None}
        yield ScoredApart(kept, sum(count for _, count in counts), classes)
    finally:
        kept.unpersist()


def _column(name: str, values: Mapping[str, str | int | datetime | None]) -> Column:
    if name in ("error_class", "error_message"):
        return F.col(f"{REASON}.{name}")
    if name not in values:
        return F.col(quote_name(name))
    value = values[name]
    return time_literal(value) if isinstance(value, datetime) else F.lit(value)


def no_rows(spark: SparkSession, schema: pa.Schema) -> DataFrame:
    """Return a frame with columns and no row."""
    return spark.createDataFrame([], to_spark(schema))
