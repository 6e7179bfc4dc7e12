"""Tables as DataFrames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_infer.config import SourceConfig
from spark_infer.errors import SourceError
from spark_infer.spark.analysis import condition, first_line, parameters, refused_condition
from spark_infer.spark.tables.settings import settings
from spark_infer.tables.delta import no_such_version
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet import column_types, with_partitions
from spark_infer.tables.scan.spark_types import spark_type
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import scope_of

_PLAIN_TYPES = (
    ("BOOLEAN", ""),
    ("INT32", ""),
    ("INT64", ""),
    ("FLOAT", ""),
    ("DOUBLE", ""),
    ("BYTE_ARRAY", "STRING"),
)
"""What a file can hold in one way only."""


def read(spark: SparkSession, snapshot: Snapshot, source: SourceConfig) -> DataFrame:
    """Return the rows of a snapshot that ``partition_filter`` and ``where`` leave; nothing runs yet.

    A Delta table is read at the pinned version. Partition values travel as literals of the column's type, so
    Spark lists and opens only their files.

    Raises:
        SourceError: ``where`` does not parse, names an unknown column, or is no condition.
    """
    frame = whole_frame(spark, snapshot)
    if source.partition_filter:
        frame = frame.where(scope_of(snapshot, source).sql)
    if source.where is None:
        return frame
    columns = frame.columns
    try:
        # In brackets, where `a = 1 AND` is no condition with a name.
        frame = frame.where(f"({source.where}\n)")
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
    if snapshot.location.format == "delta":
        return delta_frame(spark, snapshot.location, snapshot.version)
    return parquet_frame(spark, snapshot)


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
        f"Delta cannot read {location.name}: {first_line(error)}",
        next_step="restore the table, or name another version of it or another table.",
    )


def parquet_frame(spark: SparkSession, found: Snapshot) -> DataFrame:
    """A Parquet table as a DataFrame.

    No Spark job starts where the files carry Spark's schema, or columns of types that are the same to everybody; of
    others that something else wrote, Spark reads footers in one small job of its own.
    """
    location = found.location
    if location.table:
        return spark.table(location.table)
    path = location.path or ""
    try:
        schema = _schema(spark, found, path)
        return spark.read.schema(schema).parquet(path)
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"Spark cannot read {location.name}: {first_line(error)}") from error


def _schema(spark: SparkSession, found: Snapshot, path: str) -> StructType:
    if found.schema_json is not None:
        fields = json.loads(found.schema_json)["fields"]
    elif (plain := _plain_fields(found)) is not None:
        fields = plain
    elif found.refused and found.listing is not None:
        # One column that Spark refuses would keep it from finding the types of the others.
        types, _ = column_types(found.listing)
        fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in types.items()]
    else:
        # The types that Spark guesses for the partitions are replaced below.
        with settings(spark, {"spark.sql.sources.partitionColumnTypeInference.enabled": "false"}):
            inferred = spark.read.option("mergeSchema", str(found.mixed_schemas).lower()).parquet(path).schema
        fields = json.loads(inferred.json())["fields"]
    return StructType.fromJson({"type": "struct", "fields": with_partitions(fields, found)})


def _plain_fields(found: Snapshot) -> list[Mapping[str, Any]] | None:
    """The columns as Spark's JSON where no setting and no annotation can make Spark read another type; else None."""
    if found.mixed_schemas or found.listing is None or len(found.listing.schemas) != 1:
        return None
    ((*nodes,),) = found.listing.schemas
    twins = len({node.name.casefold() for node in nodes}) < len(nodes)
    if not nodes or twins or any((node.physical, node.annotation) not in _PLAIN_TYPES for node in nodes):
        return None
    if any(node.repetition == "repeated" for node in nodes):
        return None
    return [{"name": node.name, "type": spark_type(node), "nullable": True, "metadata": {}} for node in nodes]
