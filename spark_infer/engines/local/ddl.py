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
    import sqlglot

    for columns in (text, f"{ONLY_OUTPUT} {text}"):
        try:
            fields = [
                _field(node)
                for node in sqlglot.parse_one(f"CREATE TABLE t ({columns})", dialect="spark").this.expressions
            ]
        except (sqlglot.errors.SqlglotError, AttributeError, KeyError, TypeError, ValueError):
            continue
        # A struct alone declares the outputs by name.
        alone = fields[0]["type"] if columns != text else None
        return plain(schema_from_json(alone["fields"] if isinstance(alone, dict) and "fields" in alone else fields))
    raise ConfigError(
        f"{text!r} is not a type that engine `local` can read.",
        next_step="write DDL: 'double', 'array<float>', 'label string, score double'.",
    )


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
