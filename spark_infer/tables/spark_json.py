"""Spark's JSON of a schema as an Arrow schema and back, and the short names of Spark's types.

Delta's log, Parquet files and Spark sessions describe columns in this JSON; inside the package a schema is Arrow's. The
Arrow types are those in which Spark sends a column to Python, with Spark's nullability at every depth. The rest is
metadata of a field:

- ``SPARK::metadata::json``, at any depth: the metadata of the column (comment, char or varchar, collation, identity).
- ``spark_infer.type``: Spark's JSON of the column's type, where the Arrow type does not tell it (a UDT, char, variant
  in an array, …).
- ``unsupported``: why the column cannot be read. Its Arrow type is null; it is an error only where it is needed.
- ``spark_infer.not_null``: such a column may hold no null, which Arrow cannot say of the type null (see `may_be_null`).

The JSON: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#schema-serialization-format
The Arrow types: `pyspark.sql.pandas.types.to_arrow_type`, with which `tests/spark/test_spark_json.py` compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from spark_infer.core.signature import is_list

_METADATA = b"SPARK::metadata::json"
"""The key that Spark itself uses:
https://github.com/apache/spark/blob/master/sql/api/src/main/scala/org/apache/spark/sql/util/ArrowUtils.scala"""
_TYPE = b"spark_infer.type"
_UNSUPPORTED = b"unsupported"
_NOT_NULL = b"spark_infer.not_null"

_ARROW = {
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
    "void": pa.null(),
    "decimal": pa.decimal128(10, 0),
}
_VARIANT = pa.struct(
    [
        pa.field("value", pa.binary(), nullable=False),
        pa.field("metadata", pa.binary(), nullable=False, metadata={b"variant": b"true"}),
    ]
)
_SPARK = {arrow: name for name, arrow in _ARROW.items() if name != "decimal"} | {
    pa.large_string(): "string",
    pa.large_binary(): "binary",
}

_SHORT = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint", "decimal": "decimal(10,0)"}
_LONG = {short: name for name, short in _SHORT.items()}
_UDTS = {"org.apache.spark.ml.linalg.VectorUDT": "vector", "org.apache.spark.ml.linalg.MatrixUDT": "matrix"}
"""Types of users' own that have a name of their own; the others are called ``udt``."""

_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(-?\d+)\s*\)")
_TIME = re.compile(r"time\(\d\)")
_DAYS = re.compile(r"interval (day|hour|minute|second)( to (hour|minute|second))?")
_SPATIAL = re.compile(r"(geometry|geography)\(\s*([\w]+:-?[\w]+)\s*(,\s*\w+\s*)?\)")
_OTHERS = re.compile(
    r"variant|(var)?char\(\d+\)|string collate \w+|interval( (year|month|day|hour|minute|second)( to \w+)?)?"
)
_SRIDS = {"OGC:CRS84": 4326, "SRID:ANY": -1}
"""Numbers of the coordinate systems whose names do not end with it."""


class NoArrowTypeError(ValueError):
    """Spark sends no such type to Python."""


class NoSparkTypeError(ValueError):
    """Spark has no such type; the message is the type."""


def schema_from_json(fields: Iterable[Mapping[str, Any]]) -> pa.Schema:
    """Return the Arrow schema of the fields of Spark's JSON."""
    return pa.schema([field_from_json(field) for field in fields])


def field_from_json(field: Mapping[str, Any]) -> pa.Field:
    """Return the Arrow field of a field in Spark's JSON."""
    kind, nullable, metadata = field["type"], field.get("nullable", True), _with_metadata(field.get("metadata"))
    try:
        arrow = _arrow_type(kind)
        said = _json_of(arrow) == kind
    except ValueError:  # Arrow's own too, of a decimal or a void that it does not allow
        arrow, said = pa.null(), False
        metadata[_UNSUPPORTED] = f"{_name_of(field)}, which Arrow cannot carry to Python".encode()
    if not said:
        metadata[_TYPE] = json.dumps(kind).encode()
    if pa.types.is_null(arrow) and not nullable:
        nullable, metadata[_NOT_NULL] = True, b"true"
    return pa.field(field["name"], arrow, nullable, metadata or None)


def to_json(schema: pa.Schema) -> dict[str, Any]:
    """Return Spark's JSON of an Arrow schema.

    Raises:
        NoSparkTypeError: Spark has no type for one of the columns.
    """
    return {"type": "struct", "fields": [field_to_json(field) for field in schema]}


def field_to_json(field: pa.Field) -> dict[str, Any]:
    """Return a field in Spark's JSON."""
    found = field.metadata or {}
    metadata = json.loads(found[_METADATA]) if _METADATA in found else {}
    return {"name": field.name, "type": type_json(field), "nullable": may_be_null(field), "metadata": metadata}


def may_be_null(field: pa.Field) -> bool:
    """Return whether a column may hold nulls."""
    return bool(field.nullable and _NOT_NULL not in (field.metadata or {}))


def type_json(field: pa.Field) -> Any:
    """Return Spark's JSON of the type of a column."""
    said = (field.metadata or {}).get(_TYPE)
    return _json_of(field.type) if said is None else json.loads(said)


def type_name(field: pa.Field) -> str:
    """Return the short name of the type of a column, as Spark's ``simpleString``: ``bigint``, ``struct<a:int>``."""
    return _short(_SPARK[field.type]) if _is_plain(field) else _name_of(field_to_json(field))


def _is_plain(field: pa.Field) -> bool:
    return not (pa.types.is_nested(field.type) or field.metadata) and field.type in _SPARK


def type_names(schema: pa.Schema) -> dict[str, str]:
    """Return each column's short name of its type."""
    return {field.name: type_name(field) for field in schema}


def named_field(name: str, type_name: str) -> pa.Field:
    """Return a column that may hold nulls, of a type without parts by its short name."""
    return field_from_json({"name": name, "type": _LONG.get(type_name, type_name)})


def is_known(field: pa.Field) -> bool:
    """Return whether the type of a column, which may be one that cannot be read, is one of Spark's at every depth."""
    return _is_known(type_json(field))


def _is_known(kind: Any) -> bool:
    if isinstance(kind, str):
        return kind in _ARROW or any(known.fullmatch(kind) for known in (_DECIMAL, _TIME, _SPATIAL, _OTHERS))
    match kind.get("type"):
        case "struct":
            return all(_is_known(field["type"]) for field in kind["fields"])
        case "array":
            return _is_known(kind["elementType"])
        case "map":
            return _is_known(kind["keyType"]) and _is_known(kind["valueType"])
    return _is_python(kind)


def unsupported(name: str, why: str) -> pa.Field:
    """Return a column that is an error where it is needed.

    Args:
        name: Its name.
        why: What it is, and why that cannot be read.
    """
    return pa.field(name, pa.null(), metadata={_UNSUPPORTED: why})


def why_unsupported(field: pa.Field) -> str | None:
    """Return why a column cannot be read; None where it can."""
    why = (field.metadata or {}).get(_UNSUPPORTED)
    return None if why is None else why.decode()


def plain(schema: pa.Schema) -> pa.Schema:
    """Return the columns that a worker gets: each may hold nulls, and has no metadata but why it cannot be read."""
    return pa.schema([_plain(field) for field in schema])


def _plain(field: pa.Field) -> pa.Field:
    why = (field.metadata or {}).get(_UNSUPPORTED)
    return pa.field(field.name, field.type, metadata=None if why is None else {_UNSUPPORTED: why})


def _with_metadata(metadata: Mapping[str, Any] | None) -> dict[bytes, bytes]:
    return {_METADATA: json.dumps(metadata).encode()} if metadata else {}


def _arrow_type(kind: Any) -> pa.DataType:
    if isinstance(kind, str):
        return _ARROW.get(kind) or _parsed(kind)
    match kind.get("type"):
        case "struct":
            return _struct(kind["fields"])
        case "array":
            return pa.list_(pa.field("element", _arrow_type(kind["elementType"]), kind.get("containsNull", True)))
        case "map":
            key = pa.field("key", _arrow_type(kind["keyType"]), nullable=False)
            return pa.map_(key, pa.field("value", _arrow_type(kind["valueType"]), kind.get("valueContainsNull", True)))
        case "udt" if _is_python(kind):
            return _arrow_type(kind["sqlType"])
    raise NoArrowTypeError(kind)


def _is_python(udt: Mapping[str, Any]) -> bool:
    """Whether a user's type has a class of Python: Python knows nothing of the others."""
    return "pyClass" in udt and "sqlType" in udt


def _parsed(kind: str) -> pa.DataType:
    if found := _DECIMAL.fullmatch(kind):
        precision, scale = map(int, found.groups())
        if 1 <= precision <= 38:
            return pa.decimal128(precision, scale)
    if kind == "variant":
        return _VARIANT
    if kind.startswith("string collate "):
        return pa.string()
    if _TIME.fullmatch(kind):
        return pa.time64("ns")
    if _DAYS.fullmatch(kind):
        return pa.duration("us")
    if found := _SPATIAL.fullmatch(kind):
        mark = {found[1].encode(): b"true", b"srid": str(_srid(found[2])).encode()}
        wkb = pa.field("wkb", pa.binary(), nullable=False, metadata=mark)
        return pa.struct([pa.field("srid", pa.int32(), nullable=False), wkb])
    raise NoArrowTypeError(kind)


def _struct(fields: list[Mapping[str, Any]]) -> pa.DataType:
    if len({field["name"] for field in fields}) < len(fields):
        raise NoArrowTypeError("a struct with two fields of one name")
    return pa.struct([_inner_field(field) for field in fields])


def _inner_field(field: Mapping[str, Any]) -> pa.Field:
    metadata = _with_metadata(field.get("metadata"))
    return pa.field(field["name"], _arrow_type(field["type"]), field.get("nullable", True), metadata or None)


def _json_of(arrow: pa.DataType) -> Any:
    """Spark's JSON of the type that an Arrow type says."""
    types = pa.types
    if name := _SPARK.get(arrow):
        return name
    if types.is_decimal(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    if types.is_timestamp(arrow):
        return "timestamp_ntz" if arrow.tz is None else "timestamp"
    if types.is_struct(arrow):
        return "variant" if arrow.equals(_VARIANT, check_metadata=True) else to_json(arrow)
    if types.is_map(arrow):
        return {
            "type": "map",
            "keyType": _json_of(arrow.key_type),
            "valueType": _json_of(arrow.item_type),
            "valueContainsNull": arrow.item_field.nullable,
        }
    if is_list(arrow):
        return {"type": "array", "elementType": _json_of(arrow.value_type), "containsNull": arrow.value_field.nullable}
    if types.is_dictionary(arrow):
        return _json_of(arrow.value_type)
    if types.is_time64(arrow):
        return "time(6)"
    if types.is_duration(arrow):
        return "interval day to second"
    if types.is_fixed_size_binary(arrow):
        return "binary"
    raise NoSparkTypeError(str(arrow))


def _name_of(field: Mapping[str, Any]) -> str:
    collations = (field.get("metadata") or {}).get("__COLLATIONS")
    return _name(field["type"], field["name"], collations if isinstance(collations, dict) else {})


def _name(kind: Any, path: str, collations: Mapping[str, str]) -> str:
    """The short name of a type; ``collations`` names those of the column's texts by their paths in it."""
    if isinstance(kind, str):
        return _short(kind) if path not in collations else f"string collate {str(collations[path]).partition('.')[2]}"
    match kind.get("type"):
        case "struct":
            inner = (f"{each['name']}:{_name_of(each)}" for each in kind["fields"])
            return f"struct<{','.join(inner)}>"
        case "array":
            return f"array<{_name(kind['elementType'], f'{path}.element', collations)}>"
        case "map":
            key, value = (_name(kind[f"{part}Type"], f"{path}.{part}", collations) for part in ("key", "value"))
            return f"map<{key},{value}>"
        case "udt":
            return _UDTS.get(str(kind.get("class")), "udt")
    return f"a {kind.get('type')} of another library"


def _short(kind: str) -> str:
    if found := _DECIMAL.fullmatch(kind):
        return f"decimal({found[1]},{found[2]})"
    if found := _SPATIAL.fullmatch(kind):
        srid = _srid(found[2])
        return f"{found[1]}({'any' if srid < 0 else srid})"
    return _SHORT.get(kind, kind)


def _srid(crs: str) -> int:
    number = crs.partition(":")[2]
    return _SRIDS.get(crs.upper(), int(number) if number.isdigit() else 0)
