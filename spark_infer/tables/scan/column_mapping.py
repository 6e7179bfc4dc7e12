"""Column mapping of Delta: the names and ids that a table's columns have in its files, at every depth.

Source: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Column Mapping"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from spark_infer.tables.spark_json import field_to_json

_NAME, _ID = "delta.columnMapping.physicalName", "delta.columnMapping.id"
_FIELD_ID = b"PARQUET:field_id"


def stored_name(field: Mapping[str, Any], mode: str) -> str:
    """Return the name of a column in files, in partition values and in statistics.

    Args:
        field: The column, in Spark's JSON.
        mode: The table's column mapping: ``none``, ``name`` or ``id``.
    """
    name = field["name"] if mode == "none" else (field.get("metadata") or {}).get(_NAME, field["name"])
    return str(name)


def stored_schema(declared: pa.Schema, columns: pa.Schema, mode: str) -> pa.Schema:
    """Return columns with the names that they have in files, and with their ids where these decide.

    Args:
        declared: All columns of the table, as the log declares them.
        columns: Some of its columns, with the types that Spark would hand to Python.
        mode: The table's column mapping.
    """
    fields = {field.name: field for field in declared}
    return pa.schema([_stored(field_to_json(fields[column.name]), column, mode) for column in columns])


def _stored(field: Mapping[str, Any], column: pa.Field, mode: str) -> pa.Field:
    ids = {_FIELD_ID: str(field["metadata"][_ID])} if mode == "id" else None
    return pa.field(stored_name(field, mode), _stored_type(field["type"], column.type, mode), metadata=ids)


def _stored_type(kind: Any, found: pa.DataType, mode: str) -> pa.DataType:
    if not isinstance(kind, Mapping):
        return found
    if kind["type"] == "struct":
        return pa.struct([_stored(one, other, mode) for one, other in zip(kind["fields"], found, strict=True)])
    if kind["type"] == "array":
        return pa.list_(_stored_type(kind["elementType"], found.value_type, mode))
    if kind["type"] == "map":
        key, item = _stored_type(kind["keyType"], found.key_type, mode), kind["valueType"]
        return pa.map_(key, _stored_type(item, found.item_type, mode))
    return found


def field_id(field: pa.Field) -> str | None:
    """Return the id of a column of a Parquet file or of a table that is mapped by id; None where it has none."""
    found = (field.metadata or {}).get(_FIELD_ID)
    return found.decode() if found is not None else None


def as_in_table(found: pa.DataType, stored: pa.DataType, wanted: pa.DataType) -> pa.DataType | None:
    """Return a file's type with the table's names in place of the file's; None where its fields are other ones.

    Args:
        found: The type of a column in a file.
        stored: The same in `stored_schema`.
        wanted: The same in the table.
    """
    types = pa.types
    if types.is_struct(stored) and types.is_struct(found):
        return _struct(found, stored, wanted)
    if types.is_map(stored) and types.is_map(found):
        key = as_in_table(found.key_type, stored.key_type, wanted.key_type)
        item = as_in_table(found.item_type, stored.item_type, wanted.item_type)
        return None if key is None or item is None else pa.map_(key, item)
    if types.is_list(stored) and types.is_list(found):
        inner = as_in_table(found.value_type, stored.value_type, wanted.value_type)
        return None if inner is None else pa.list_(found.value_field.with_type(inner))
    return found


def _struct(found: pa.DataType, stored: pa.DataType, wanted: pa.DataType) -> pa.DataType | None:
    fields = []
    if found.num_fields != stored.num_fields:
        return None
    for has, asked, named in zip(found, stored, wanted, strict=True):
        same = has.name == asked.name if (wish := field_id(asked)) is None else field_id(has) == wish
        inner = as_in_table(has.type, asked.type, named.type) if same else None
        if inner is None:
            return None
        fields.append(pa.field(named.name, inner, has.nullable))
    return pa.struct(fields)
