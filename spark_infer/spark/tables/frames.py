"""Tables as DataFrames."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import SourceConfig
from spark_infer.errors import SourceError
from spark_infer.spark.analysis import refused_condition
from spark_infer.spark.tables.spark_formats import spark_source_of
from spark_infer.spark.tables.stored.asked_rows import asked_rows
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import scope_of


def read(spark: SparkSession, snapshot: Snapshot, source: SourceConfig) -> DataFrame:
    """Return the rows of a snapshot that ``partition_filter`` and ``where`` leave; nothing runs yet.

    A Delta table is read at the pinned version. Partition values travel as literals of the column's type, so
    Spark lists and opens only their files.

    Raises:
        SourceError: ``where`` does not parse, names an unknown column, or is no condition.
    """
    rows = asked_rows(spark, source) if source.is_unstored else whole_frame(spark, snapshot)
    return filtered(rows, snapshot, source)


def filtered(frame: DataFrame, snapshot: Snapshot, source: SourceConfig) -> DataFrame:
    """Return the rows that ``partition_filter`` and ``where`` leave.

    Args:
        frame: Rows of a source.
        snapshot: The source.
        source: The conditions.

    Raises:
        SourceError: As for `read`.
    """
    if source.partition_filter:
        frame = frame.where(scope_of(snapshot, source).sql)
    if source.condition is None:
        return frame
    columns = frame.columns
    try:
        # In brackets, where `a = 1 AND` is no condition with a name.
        frame = frame.where(f"({source.condition}\n)")
        frame.select("*").schema  # noqa: B018 - Spark Connect looks only when a schema that it does not know is asked for
    except Exception as error:
        raise SourceError(
            f"`where` cannot be used on {snapshot.location.name}: {refused_condition(error, columns)}",
            details=[f"where: {source.where}"],
            next_step="write a SQL condition over the table's columns, such as \"month >= 10 AND origin = 'JFK'\".",
        ) from error
    return frame


def whole_frame(spark: SparkSession, snapshot: Snapshot) -> DataFrame:
    """The whole table of a snapshot as a DataFrame: of Delta its version, or the newest where the snapshot has none."""
    return spark_source_of(snapshot.location.format).frame(spark, snapshot)
