"""What a session does for tables of each format: the counterpart of `tables.formats`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from spark_infer.spark.analysis import condition
from spark_infer.spark.tables.delta.reading import delta_frame
from spark_infer.spark.tables.delta.writing import write_delta
from spark_infer.spark.tables.parquet.reading import parquet_frame
from spark_infer.spark.tables.parquet.writing import refresh_parquet, write_parquet
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.snapshot import Snapshot


class SparkFormat(Protocol):
    """How a session finds, reads and writes tables of one format.

    Attributes:
        name: The format, as `tables.formats` calls it.
    """

    name: str

    def is_at(self, spark: SparkSession, uri: str) -> bool:
        """Whether a folder holds such a table that only Spark can reach."""

    def frame(self, spark: SparkSession, snapshot: Snapshot) -> DataFrame:
        """Return all rows of a snapshot; nothing runs yet."""

    def write(
        self, rows: DataFrame, plan: WritePlan, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> Written:
        """Write rows as planned, and commit them."""

    def refresh(self, spark: SparkSession, plan: WritePlan) -> None:
        """Have the session see files that it did not write itself."""


class SparkDelta:
    """Delta's own reader and writer; a `SparkFormat`."""

    name = "delta"

    def is_at(self, spark: SparkSession, uri: str) -> bool:
        """Ask Delta for the table's details."""
        try:
            return bool(spark.sql(f"DESCRIBE DETAIL delta.{quote_name(uri)}").collect()[0]["format"] == self.name)
        except Exception as error:
            if not condition(error).startswith(("DELTA_", "PARSE_SYNTAX", "PATH_NOT_FOUND")):
                raise
            return False

    def frame(self, spark: SparkSession, snapshot: Snapshot) -> DataFrame:
        """The table at its pinned version."""
        return delta_frame(spark, snapshot.location, snapshot.version)

    def write(
        self, rows: DataFrame, plan: WritePlan, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> Written:
        """One commit."""
        return write_delta(rows, plan, facts, txn)

    def refresh(self, spark: SparkSession, plan: WritePlan) -> None:
        """Nothing to do: the session looks at the log each time."""


class SparkParquet:
    """Spark's Parquet source; a `SparkFormat`."""

    name = "parquet"

    def is_at(self, spark: SparkSession, uri: str) -> bool:
        """Have Spark look at the folder's files."""
        try:
            spark.read.parquet(uri).schema  # noqa: B018 - Spark Connect looks only when the schema is asked for
        except Exception as error:
            if condition(error).startswith(("PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA")):
                return False
            raise
        return True

    def frame(self, spark: SparkSession, snapshot: Snapshot) -> DataFrame:
        """The files that the folder, or the catalog, has."""
        return parquet_frame(spark, snapshot)

    def write(
        self, rows: DataFrame, plan: WritePlan, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> Written:
        """A new table; what is written into others is staged first."""
        return write_parquet(rows, plan)

    def refresh(self, spark: SparkSession, plan: WritePlan) -> None:
        """Forget the listing that the session keeps."""
        refresh_parquet(spark, plan)


SPARK_FORMATS: Mapping[str, SparkFormat] = {each.name: each for each in (SparkDelta(), SparkParquet())}
"""All formats, by name; a Delta table is looked for first, since its folder holds Parquet files."""


def spark_format_of(name: str) -> SparkFormat:
    """Return what a session does for the format of a name that was checked."""
    return SPARK_FORMATS[name]
