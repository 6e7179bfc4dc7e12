"""Types in DDL where no Spark session is there to parse them."""

from __future__ import annotations

from typing import Any

from pyspark.sql.types import DataType, StructType

from spark_infer.errors import ConfigError

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


def parse_ddl(text: str) -> DataType:
    """Parse a type, or a list of columns, as Spark's ``DataType.fromDDL`` does.

    Raises:
        ConfigError: It is neither.
    """
    import sqlglot

    for form in (f"CREATE TABLE t ({text})", f"CREATE TABLE t (only {text})"):
        try:
            fields = sqlglot.parse_one(form, dialect="spark").this.expressions
            found = StructType.fromJson({"type": "struct", "fields": [_field(each) for each in fields]})
        except (sqlglot.errors.SqlglotError, AttributeError, KeyError, TypeError, ValueError):
            continue
        return found.fields[0].dataType if "(only" in form else found
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
