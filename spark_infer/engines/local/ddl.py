"""Result types in DDL where no Spark session is there to parse them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.errors import ConfigError
from spark_infer.tables.spark_json import plain, schema_from_json

_NAMES = {
    "BIGINT": "long",
    "BINARY": "binary",
    "BOOLEAN": "boolean",
    "CHAR": "string",
    "DATE": "date",
    "DOUBLE": "double",
    "FLOAT": "float",
    "INT": "integer",
    "SMALLINT": "short",
    "TEXT": "string",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPNTZ": "timestamp_ntz",
    "TIMESTAMPTZ": "timestamp",
    "TINYINT": "byte",
    "VARCHAR": "string",
}


def parse_ddl(text: str) -> pa.Schema:
    """Parse a type, or a list of columns, as Spark does; the column of a type alone is called as an only output is.

    Raises:
        ConfigError: It is neither.
    """
    fields = _columns(text)
    if not fields:
        fields = _columns(f"{ONLY_OUTPUT} {text}")
        if fields and isinstance(fields[0]["type"], dict) and fields[0]["type"]["type"] == "struct":
            fields = fields[0]["type"]["fields"]  # a struct declares the outputs by name
    if not fields:
        raise ConfigError(
            f"{text!r} is not a type that engine `local` can read.",
            next_step="write DDL: 'double', 'array<float>', 'label string, score double'.",
        )
    return plain(schema_from_json(fields))


def _columns(text: str) -> list[dict[str, Any]]:
    """The columns of a list of columns, as Spark's JSON has fields; none where it is not one."""
    import sqlglot

    try:
        table = sqlglot.parse_one(f"CREATE TABLE t ({text})", dialect="spark").this
        return [_field(node) for node in table.expressions]
    except (sqlglot.errors.SqlglotError, AttributeError, KeyError, TypeError, ValueError):
        return []


def _field(node: Any) -> dict[str, Any]:
    nullable = not any("NotNull" in type(each.args.get("kind")).__name__ for each in node.args.get("constraints") or ())
    return {"name": node.name, "type": _type(node.args["kind"]), "nullable": nullable, "metadata": {}}


def _type(node: Any) -> Any:
    name, parts = node.this.name, node.expressions
    if name == "DECIMAL":
        precision, scale = [int(each.name) for each in parts] + [10, 0][len(parts) :]
        return f"decimal({precision},{scale})"
    if name == "ARRAY":
        return {"type": "array", "elementType": _type(parts[0]), "containsNull": True}
    if name == "MAP":
        key, value = map(_type, parts)
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if name == "STRUCT":
        return {"type": "struct", "fields": [_field(each) for each in parts]}
    return _NAMES[name]
