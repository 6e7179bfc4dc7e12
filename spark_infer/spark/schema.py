"""Spark schemas as Arrow schemas and back, and names as Spark's parser wants them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql.types import ArrayType, DataType, MapType, NullType, StructField, StructType

from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.core.signature import for_model
from spark_infer.errors import ConfigError, SchemaMismatchError
from spark_infer.spark.versions import from_arrow_type, to_arrow_type


def to_arrow(schema: StructType) -> pa.Schema:
    """Arrow schema in which Spark sends a table to Python.

    A column whose type Arrow cannot carry gets the type null with the metadata ``unsupported``, which says why: it is
    an error only where the column is needed (see `refuse_unsupported`). A void column may bring such metadata.
    """
    return pa.schema([_field(field) for field in schema.fields])


def _field(field: StructField) -> pa.Field:
    try:
        why = field.metadata.get("unsupported") if isinstance(field.dataType, NullType) else None
        return pa.field(field.name, to_arrow_type(field.dataType), metadata={"unsupported": why} if why else None)
    except (PySparkException, ValueError):
        return unsupported(field.name, f"{field.dataType.simpleString()}, which Arrow cannot carry to Python")


def unsupported(name: str, why: str) -> pa.Field:
    """A column that is an error where it is needed.

    Args:
        name: Its name.
        why: What it is, and why that cannot be read.
    """
    return pa.field(name, pa.null(), metadata={"unsupported": why})


def refuse_unsupported(schema: pa.Schema, columns: Iterable[str]) -> None:
    """Refuse columns that cannot be read, or cannot cross to Python.

    Raises:
        SchemaMismatchError: One of ``columns`` has such a type.
    """
    wanted = set(columns)
    problems = [
        f"column {field.name!r} is {field.metadata[b'unsupported'].decode()}"
        for field in schema
        if field.name in wanted and field.metadata and b"unsupported" in field.metadata
    ]
    if problems:
        raise SchemaMismatchError(
            "The table has columns that cannot be scored or passed through.",
            problems=problems,
            next_step="leave them out with keep=[…], or cast them in the table; preprocess needs every column.",
        )


def refuse_case_twins(schema: pa.Schema, columns: Iterable[str]) -> None:
    """Refuse columns that a session without case sensitivity cannot tell apart.

    Raises:
        SchemaMismatchError: One of ``columns`` has such a twin in the table.
    """
    by_case: dict[str, list[str]] = defaultdict(list)
    for name in schema.names:
        by_case[name.casefold()].append(name)
    twins = {name: by_case.get(name.casefold(), []) for name in columns}
    problems = [f"column {name!r}: the table has {found}" for name, found in twins.items() if len(found) > 1]
    if problems:
        case = any(len(set(found)) > 1 for found in twins.values())
        raise SchemaMismatchError(
            "Spark cannot tell some columns of the table apart.",
            problems=problems,
            next_step="rename them, or set spark.sql.caseSensitive to true." if case else "rename them.",
        )


def to_spark(schema: pa.Schema) -> StructType:
    """Spark schema of Arrow columns; every column may hold nulls."""
    return StructType([StructField(field.name, from_arrow_type(field.type), True) for field in schema])


def struct_from_json(text: str) -> StructType:
    """Spark schema of its JSON; a type that this PySpark does not know is one that cannot be read (see `to_arrow`)."""
    return StructType([_known(field) for field in json.loads(text)["fields"]])


def _known(field: dict[str, Any]) -> StructField:
    try:
        return StructField.fromJson(field)
    except (PySparkException, KeyError, ImportError, AttributeError):  # the last three of types that users define
        return StructField(field["name"], _UnknownType(field["type"]), field["nullable"], field.get("metadata"))


class _UnknownType(DataType):
    """A type that this PySpark does not know, such as one of a newer Delta."""

    def __init__(self, spelled: Any) -> None:
        self._spelled = spelled

    def simpleString(self) -> str:  # noqa: N802 - PySpark's name
        return self._spelled if isinstance(self._spelled, str) else f"a {self._spelled.get('type')} of another library"

    def jsonValue(self) -> Any:  # noqa: N802 - PySpark's name
        return self._spelled


_BOOL = re.compile(r"\bbool(?=\s*(?:[>,]|$))", re.IGNORECASE)
"""A name of ``boolean`` that MLflow's ``spark_udf`` takes and Spark does not; as a type, not as the name of a field."""


def result_schema(
    result_type: str | DataType | None, *, parse: Callable[[str], DataType] = DataType.fromDDL
) -> pa.Schema | None:
    """Read a result type: one type for a single output, a struct (or a list of columns) for several.

    Args:
        result_type: DDL, or a type.
        parse: Reads DDL; Spark's own parser needs a session.

    Raises:
        ConfigError: It is not a type, or one that Arrow cannot carry.
    """
    if result_type is None:
        return None
    try:
        parsed = _parsed(result_type, parse)
        fields = parsed.fields if isinstance(parsed, StructType) else [StructField(ONLY_OUTPUT, parsed)]
        schema = pa.schema([pa.field(field.name, to_arrow_type(field.dataType)) for field in fields])
    except (PySparkException, ValueError) as error:
        raise _no_result(result_type) from error
    if any(for_model(field.type) is None or pa.types.is_null(field.type) for field in schema):
        raise _no_result(result_type)
    return schema


def is_struct(result_type: str | DataType | None) -> bool:
    """Whether a result type declares its outputs by name, be it one."""
    return result_type is not None and isinstance(_parsed(result_type, DataType.fromDDL), StructType)


def _parsed(result_type: str | DataType, parse: Callable[[str], DataType]) -> DataType:
    return parse(_BOOL.sub("boolean", result_type)) if isinstance(result_type, str) else result_type


def _no_result(result_type: str | DataType) -> ConfigError:
    return ConfigError(
        f"result_type {as_ddl(result_type)!r} is not a type that predictions can have.",
        next_step="write DDL: 'double', 'array<float>', 'label string, score double'; no variant, interval or time.",
    )


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
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else quoted(name)


def quoted(name: str) -> str:
    """Quote a column name, so that dots, spaces and backquotes in it are just letters."""
    return "`" + name.replace("`", "``") + "`"


def last_part(path: str) -> str:
    """Name of the field that a column path leads to: ``b`` for ``a.b``, and for ``a.`b```.

    >>> last_part("`a.b`")
    'a.b'
    """
    if not path.endswith("`"):
        return path.rpartition(".")[2]
    found = re.search(r"`((?:[^`]|``)*)`$", path)
    return found[1].replace("``", "`") if found else path
