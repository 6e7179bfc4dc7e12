"""Tables as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_infer.config import SourceConfig
from spark_infer.errors import SourceError
from spark_infer.tables import delta, parquet
from spark_infer.tables.analysis import refused_condition
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import scope_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read(spark: SparkSession, snapshot: Snapshot, source: SourceConfig) -> DataFrame:
    """Return the rows of a snapshot that ``partition_filter`` and ``where`` leave; nothing runs yet.

    A Delta table is read at the pinned version. Partition values travel as literals of the column's type, so
    Spark lists and opens only their files.

    Raises:
        SourceError: ``where`` does not parse, names an unknown column, or is no condition.
    """
    if snapshot.location.format == "delta":
        frame = delta.pinned_frame(spark, snapshot.location, snapshot.version)
    else:
        frame = parquet.frame(spark, snapshot)
    if source.partition_filter:
        frame = frame.where(scope_of(snapshot, source).sql)
    if source.where is None:
        return frame
    columns = frame.columns
    try:
        # In brackets, where `a = 1 AND` is no condition with a name.
        frame = frame.where(f"({source.where}\n)")
        frame.select("*").schema  # noqa: B018 - Spark Connect looks only when a schema that it does not know is asked for
    except Exception as error:  # PySpark's exceptions cannot be named here
        raise SourceError(
            f"`where` cannot be used on {snapshot.location.name}: {refused_condition(error, columns)}",
            details=[f"where: {source.where}"],
            next_step="write a SQL condition over the table's columns, such as \"month >= 10 AND origin = 'JFK'\".",
        ) from error
    return frame
