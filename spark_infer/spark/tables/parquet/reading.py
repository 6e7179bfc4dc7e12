"""Have Spark read a Parquet table."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from spark_infer.errors import SourceError
from spark_infer.spark.analysis import sentence_of
from spark_infer.spark.schema import to_arrow, to_spark
from spark_infer.spark.tables.settings import calendar_options, settings
from spark_infer.tables.parquet.table_snapshot import own_columns, with_partitions
from spark_infer.tables.scan.spark_types import spark_type
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import schema_from_json

_PLAIN_TYPES = (
    ("BOOLEAN", ""),
    ("INT32", ""),
    ("INT64", ""),
    ("FLOAT", ""),
    ("DOUBLE", ""),
    ("BYTE_ARRAY", "STRING"),
)
"""What a file can hold in one way only."""


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
        return spark.read.options(**calendar_options(spark)).schema(to_spark(schema)).parquet(path)
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"Spark cannot read {location.name}: {sentence_of(error)}") from error


def _schema(spark: SparkSession, found: Snapshot, path: str) -> pa.Schema:
    if found.declared is not None:
        data = found.declared
    elif (plain := _plain_columns(found)) is not None:
        data = plain
    elif found.refused and found.listing is not None:
        # One column that Spark refuses would keep it from finding the types of the others.
        data, _ = own_columns(found.listing)
    else:
        # The types that Spark guesses for the partitions are replaced below.
        with settings(spark, {"spark.sql.sources.partitionColumnTypeInference.enabled": "false"}):
            inferred = spark.read.option("mergeSchema", str(found.mixed_schemas).lower()).parquet(path).schema
        data = to_arrow(inferred)
    return with_partitions(data, found)


def _plain_columns(found: Snapshot) -> pa.Schema | None:
    """The columns where no setting and no annotation can make Spark read another type; else None."""
    if found.mixed_schemas or found.listing is None or len(found.listing.schemas) != 1:
        return None
    ((*nodes,),) = found.listing.schemas
    twins = len({node.name.casefold() for node in nodes}) < len(nodes)
    if not nodes or twins or any((node.physical, node.annotation) not in _PLAIN_TYPES for node in nodes):
        return None
    if any(node.repetition == "repeated" for node in nodes):
        return None
    return schema_from_json({"name": node.name, "type": spark_type(node)} for node in nodes)
