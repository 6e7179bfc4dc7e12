"""What a session does for tables of each format: the counterpart of `tables.formats`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_infer.spark.tables.delta.spark_format import SparkDelta
from spark_infer.spark.tables.files.spark_format import SparkFiles
from spark_infer.spark.tables.parquet.spark_format import SparkParquet
from spark_infer.spark.tables.stored.spark_format import SparkStored
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot


class SparkSource(Protocol):
    """How a session reads sources of one format.

    Attributes:
        name: The format, as `tables.formats` calls it.
    """

    name: str

    def check(self, spark: SparkSession) -> None:
        """Refuse a session that cannot read such sources.

        Raises:
            EnvironmentProblem: Something that they need is missing.
        """

    def frame(self, spark: SparkSession, snapshot: Snapshot) -> DataFrame:
        """Return all rows of a snapshot; nothing runs yet."""


class SparkFormat(SparkSource, Protocol):
    """How a session finds, reads and writes tables of one format."""

    def publisher(self, spark: SparkSession, work: PublishWork, removed: DataFrame | None) -> Publisher:
        """Return what makes scored files part of a table.

        Args:
            spark: The session.
            work: The run.
            removed: The keys of rows that a merge takes out of the table; None for none.
        """

    def is_at(self, spark: SparkSession, uri: str) -> bool:
        """Whether a folder holds such a table that only Spark can reach."""

    def describe(
        self, spark: SparkSession, location: TableLocation, version: int | None, partition_columns: tuple[str, ...]
    ) -> Snapshot:
        """Describe a table that only Spark can read, without counts.

        Raises:
            SourceError: There is no such version, or Spark cannot read the table.
        """

    def stream(
        self, spark: SparkSession, snapshot: Snapshot, schema: StructType, options: Mapping[str, str | int | bool]
    ) -> DataFrame:
        """Return the rows of a table, and those that come into it, as a stream.

        Args:
            spark: The session.
            snapshot: The table.
            schema: Its columns.
            options: Of Spark's reader.
        """

    def write(
        self, rows: DataFrame, plan: WritePlan, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> Written:
        """Write rows as planned, and commit them."""

    def written_before(
        self, spark: SparkSession, plan: WritePlan, facts: Mapping[str, str | int | float]
    ) -> Written | None:
        """Find the commit of an earlier command of the same run; None where the table keeps none."""

    def refresh(self, spark: SparkSession, plan: WritePlan) -> None:
        """Have the session see files that it did not write itself."""

    def columns_in_catalog(self, spark: SparkSession, plan: WritePlan) -> str:
        """What a statement says of the columns of a table whose name is registered; "" where its log says them."""


SPARK_FORMATS: Mapping[str, SparkFormat] = {each.name: each for each in (SparkDelta(), SparkParquet())}
"""All formats, by name; a Delta table is looked for first, since its folder holds Parquet files."""

SPARK_SOURCES: Mapping[str, SparkSource] = {
    **SPARK_FORMATS,
    SparkFiles.name: SparkFiles(),
    SparkStored.name: SparkStored(),
}
"""All that a source can be, by name."""


def spark_format_of(name: str) -> SparkFormat:
    """Return what a session does for the format of a name that was checked."""
    return SPARK_FORMATS[name]


def spark_source_of(name: str) -> SparkSource:
    """Return what a session does for the format of a source, whose name was checked."""
    return SPARK_SOURCES[name]
