"""Spark's types for the columns of a Parquet file, by Spark's own rules, as Spark's JSON.

https://github.com/apache/spark/blob/master/sql/core/src/main/scala/org/apache/spark/sql/execution/datasources/parquet/ParquetSchemaConverter.scala
with the session's settings at their defaults.
"""

from __future__ import annotations

from typing import Any

from spark_infer.tables.scan.parquet_schema import Node
from spark_infer.tables.spark_json import NoSparkTypeError

_TYPES = {
    ("INT32", ""): "integer",
    ("INT32", "INTEGER(8,true)"): "byte",
    ("INT32", "INTEGER(16,true)"): "short",
    ("INT32", "INTEGER(32,true)"): "integer",
    ("INT32", "INTEGER(8,false)"): "short",
    ("INT32", "INTEGER(16,false)"): "integer",
    ("INT32", "INTEGER(32,false)"): "long",
    ("INT32", "DATE"): "date",
    ("INT64", ""): "long",
    ("INT64", "INTEGER(64,true)"): "long",
    ("INT64", "INTEGER(64,false)"): "decimal(20,0)",
    ("INT64", "TIMESTAMP(MILLIS,true)"): "timestamp",
    ("INT64", "TIMESTAMP(MICROS,true)"): "timestamp",
    ("INT64", "TIMESTAMP(MILLIS,false)"): "timestamp_ntz",
    ("INT64", "TIMESTAMP(MICROS,false)"): "timestamp_ntz",
    ("BYTE_ARRAY", ""): "binary",
    ("BYTE_ARRAY", "BSON"): "binary",
    ("BYTE_ARRAY", "STRING"): "string",
    ("BYTE_ARRAY", "ENUM"): "string",
    ("BYTE_ARRAY", "JSON"): "string",
    ("BYTE_ARRAY", "GEOMETRY(OGC:CRS84)"): "geometry(OGC:CRS84)",
    ("BYTE_ARRAY", "GEOGRAPHY(OGC:CRS84)"): "geography(OGC:CRS84, SPHERICAL)",
    ("FIXED_LEN_BYTE_ARRAY", ""): "binary",
}
_WHATEVER_THE_ANNOTATION = {"BOOLEAN": "boolean", "FLOAT": "float", "DOUBLE": "double", "INT96": "timestamp"}
_MOST_DIGITS = {"INT32": 9, "INT64": 18, "BYTE_ARRAY": 38}

_EXACTLY_CARRIED = {
    ("INT64", "TIMESTAMP(NANOS,true)"): "timestamp",
    ("INT64", "TIMESTAMP(NANOS,false)"): "timestamp_ntz",
    ("FIXED_LEN_BYTE_ARRAY", "UUID"): "binary",
    ("FIXED_LEN_BYTE_ARRAY", "FLOAT16"): "float",
}
"""Types that Spark refuses, and its type for the same values; nanoseconds have to be whole microseconds."""


def spark_type(node: Node, *, beyond_spark: bool = False) -> Any:
    """Return the type of a column.

    Args:
        node: The column.
        beyond_spark: Whether types that Spark refuses get the type that holds their values exactly.

    Raises:
        NoSparkTypeError: There is none.
    """
    if node.repetition != "repeated":
        return _one(node, beyond_spark)
    return {"type": "array", "elementType": _one(node, beyond_spark), "containsNull": True}


def _one(node: Node, beyond_spark: bool) -> Any:
    """The type of a value, whether it is repeated or not."""
    if node.physical:
        return _primitive(node, beyond_spark)
    if node.annotation == "LIST":
        return _list(node, beyond_spark)
    if node.annotation in ("MAP", "MAP_KEY_VALUE"):
        return _map(node, beyond_spark)
    if node.annotation == "VARIANT":
        return "variant"
    if node.annotation:
        raise NoSparkTypeError(str(node))
    return {"type": "struct", "fields": [_field(child, beyond_spark) for child in node.children]}


def _field(node: Node, beyond_spark: bool) -> dict[str, Any]:
    return {
        "name": node.name,
        "type": spark_type(node, beyond_spark=beyond_spark),
        "nullable": True,
        "metadata": {},
    }


def _primitive(node: Node, beyond_spark: bool) -> str:
    if node.physical in _WHATEVER_THE_ANNOTATION:
        return _WHATEVER_THE_ANNOTATION[node.physical]
    if node.annotation == "DECIMAL":
        return _decimal(node)
    key = node.physical, "" if node.annotation == "UNKNOWN" else node.annotation
    found = _TYPES.get(key) or (_EXACTLY_CARRIED.get(key) if beyond_spark else None)
    if found is None:
        raise NoSparkTypeError(str(node))
    return found


def _decimal(node: Node) -> str:
    # A decimal of n bytes holds as many digits as every number of so many bits has.
    fixed = len(str(2 ** (8 * node.length - 1) - 1)) - 1 if node.physical == "FIXED_LEN_BYTE_ARRAY" else 0
    most = min(38, _MOST_DIGITS.get(node.physical, fixed))
    if not 1 <= node.precision <= most or not 0 <= node.scale <= node.precision:
        raise NoSparkTypeError(str(node))
    return f"decimal({node.precision},{node.scale})"


def _list(node: Node, beyond_spark: bool) -> Any:
    """An array, written in two levels or in three.

    https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists
    """
    if len(node.children) != 1 or node.children[0].repetition != "repeated":
        raise NoSparkTypeError(str(node))
    (repeated,) = node.children
    two_levels = (
        bool(repeated.physical) or len(repeated.children) > 1 or repeated.name in ("array", f"{node.name}_tuple")
    )
    if not two_levels and len(repeated.children) != 1:
        raise NoSparkTypeError(str(node))
    element = (
        _one(repeated, beyond_spark) if two_levels else spark_type(repeated.children[0], beyond_spark=beyond_spark)
    )
    return {"type": "array", "elementType": element, "containsNull": True}


def _map(node: Node, beyond_spark: bool) -> Any:
    pairs = node.children[0] if len(node.children) == 1 else None
    if pairs is None or pairs.physical or pairs.repetition != "repeated" or len(pairs.children) != 2:
        raise NoSparkTypeError(str(node))
    key, value = (spark_type(child, beyond_spark=beyond_spark) for child in pairs.children)
    return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
