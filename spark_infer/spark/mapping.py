"""A function over Arrow batches as an operator of Spark's, and the string types that it declares on Spark Connect."""

from __future__ import annotations

from typing import Any, TypeVar

from pyspark.sql import DataFrame
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType

from spark_infer.spark.server import is_connect
from spark_infer.spark.versions import map_in_arrow, usual_string

Kind = TypeVar("Kind", bound=DataType)


def mapped(frame: DataFrame, function: Any, schema: StructType, *, profile: Any = None) -> DataFrame:
    """Put a function over the record batches of a frame: `mapInArrow`, with strings that are strings everywhere."""
    if not is_connect(frame.sparkSession):
        return map_in_arrow(frame, function, schema, profile)
    # The `select` has the server tell its own schema, in which strings have their usual type.
    return map_in_arrow(frame, function, plain_strings(schema), profile).select("*")


def plain_strings(kind: Kind) -> Kind:
    """Take the collation out of the strings of a type, as long as it is the usual one.

    Spark Connect sends it by name, and Spark then takes ``string collate UTF8_BINARY`` for something else than
    ``string``: Delta writes it into the table, where other readers do not know it (seen with Spark 4.2, Delta 4.4).
    """
    plain: Any = kind
    if isinstance(kind, StringType):
        plain = usual_string(kind)
    elif isinstance(kind, StructType):
        plain = StructType([_plain_field(field) for field in kind.fields])
    elif isinstance(kind, ArrayType):
        plain = ArrayType(plain_strings(kind.elementType), kind.containsNull)
    elif isinstance(kind, MapType):
        plain = MapType(plain_strings(kind.keyType), plain_strings(kind.valueType), kind.valueContainsNull)
    found: Kind = plain
    return found


def _plain_field(field: StructField) -> StructField:
    return StructField(field.name, plain_strings(field.dataType), field.nullable, field.metadata)
