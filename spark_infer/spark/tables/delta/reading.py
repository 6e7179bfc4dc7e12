"""Have Spark read a Delta table."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from spark_infer.errors import SourceError
from spark_infer.spark.analysis import condition, parameters, sentence_of
from spark_infer.tables.delta.table_snapshot import no_such_version
from spark_infer.tables.location import TableLocation


def delta_frame(spark: SparkSession, location: TableLocation, version: int | None) -> DataFrame:
    """A Delta table as of a version (None: as it is) as a DataFrame.

    Raises:
        SourceError: There is no such version, or Delta cannot read the table.
    """
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    try:
        found = reader.table(location.table) if location.table else reader.load(location.path)
        found.schema  # noqa: B018 - Spark Connect looks only when the schema is asked for
    except Exception as error:
        if condition(error) == "DELTA_VERSION_NOT_FOUND":
            facts = parameters(error)
            raise no_such_version(location, version, facts.get("earliest"), facts.get("latest")) from error
        raise delta_refused(location, error) from error
    return found


def delta_refused(location: TableLocation, error: Exception) -> SourceError:
    """The error for a table that Delta cannot read."""
    return SourceError(
        f"Delta cannot read {location.name}: {sentence_of(error)}",
        next_step="restore the table, or name another version of it or another table.",
    )
