"""Spark schemas as Arrow schemas and back, and names as Spark's parser wants them."""

from __future__ import annotations

import re

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.core.result_type import check_result_type, not_a_result_type
from spark_infer.spark.versions import parse_ddl
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.spark_json import plain, schema_from_json, to_json


def to_arrow(schema: StructType) -> pa.Schema:
    """Return a Spark schema as the Arrow schema that says the same (see `tables.spark_json`)."""
    return schema_from_json(schema.jsonValue()["fields"])


def to_spark(schema: pa.Schema) -> StructType:
    """Return the Spark schema that an Arrow schema says."""
    return StructType.fromJson(to_json(schema))


def arrow_type(data_type: DataType) -> pa.DataType:
    """Return the Arrow type in which Spark sends a column to Python; null where it sends none."""
    return to_arrow(StructType([StructField(ONLY_OUTPUT, data_type)])).field(0).type


def spark_type(arrow: pa.DataType) -> DataType:
    """Return the Spark type of an Arrow column; a timestamp without a zone becomes timestamp_ntz."""
    return to_spark(pa.schema([pa.field(ONLY_OUTPUT, arrow)])).fields[0].dataType


_BOOL = re.compile(r"\bbool(?=\s*(?:[>,]|$))", re.IGNORECASE)
"""A name of ``boolean`` that MLflow's ``spark_udf`` takes and Spark does not; as a type, not as the name of a field."""


def result_schema(result_type: str | DataType | None) -> pa.Schema | None:
    """Read a result type: one type for a single output, a struct (or a list of columns) for several.

    Args:
        result_type: DDL, which a session parses, or a type.

    Raises:
        ConfigError: It is not a type, or one that Arrow cannot carry.
    """
    if result_type is None:
        return None
    spelled = result_type if isinstance(result_type, str) else _ddl(result_type)
    try:
        parsed = _parsed(result_type)
    except (PySparkException, ValueError) as error:
        raise not_a_result_type(spelled) from error
    declared = parsed if isinstance(parsed, StructType) else StructType([StructField(ONLY_OUTPUT, parsed)])
    return check_result_type(plain(to_arrow(declared)), spelled)


def is_struct(result_type: str | DataType | None) -> bool:
    """Whether a result type declares its outputs by name, be it one."""
    return result_type is not None and isinstance(_parsed(result_type), StructType)


def _parsed(result_type: str | DataType) -> DataType:
    return parse_ddl(_BOOL.sub("boolean", result_type)) if isinstance(result_type, str) else result_type


def as_ddl(result_type: str | DataType | None) -> str | None:
    """Write a result type as DDL, as the options hold it."""
    return _ddl(result_type) if isinstance(result_type, DataType) else result_type


def _ddl(data_type: DataType) -> str:
    """Spell a type as its ``simpleString`` does, which leaves names of fields unquoted."""
    if isinstance(data_type, StructType):
        fields = (f"{_field_name(field.name)}:{_ddl(field.dataType)}" for field in data_type)
        return f"struct<{','.join(fields)}>"
    if isinstance(data_type, ArrayType):
        return f"array<{_ddl(data_type.elementType)}>"
    if isinstance(data_type, MapType):
        return f"map<{_ddl(data_type.keyType)},{_ddl(data_type.valueType)}>"
    return data_type.simpleString()


def _field_name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else quote_name(name)


def last_part(path: str) -> str:
    """Name of the field that a column path leads to: ``b`` for ``a.b``, and for ``a.`b```.

    >>> last_part("`a.b`")
    'a.b'
    """
    if not path.endswith("`"):
        return path.rpartition(".")[2]
    found = re.search(r"`((?:[^`]|``)*)`$", path)
    return found[1].replace("``", "`") if found else path
