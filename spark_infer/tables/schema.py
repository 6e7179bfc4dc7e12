"""The columns of a table, as Spark's JSON, where no Spark is there to tell.

https://spark.apache.org/docs/latest/sql-data-sources-parquet.html: columns of Parquet files may hold nulls, whatever
the files say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.errors import SourceError
from spark_infer.tables.parquet import PLAIN_TYPES, with_partitions
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage

_NAMES = PLAIN_TYPES | {
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.uint8(): "short",
    pa.uint16(): "integer",
    pa.uint32(): "long",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.date32(): "date",
}


_DELTAS_OWN = ("CURRENT_DEFAULT", "parquet.field.id", "parquet.field.nested.ids")
"""Metadata of a column that Delta keeps to itself, besides that whose name begins with ``delta.``:
https://github.com/delta-io/delta/blob/master/spark/src/main/scala/org/apache/spark/sql/delta/DeltaTable.scala,
`removeInternalDeltaMetadata`."""


def schema_of(found: Snapshot) -> str:
    """Return Spark's JSON of all columns of a snapshot; opens one file for each set of columns among Parquet files.

    Raises:
        SourceError: Only Spark can tell.
    """
    if found.location.format == "delta" and found.schema_json is not None:
        return _shown(found.schema_json)
    if found.schema_json is not None:
        fields = json.loads(found.schema_json)["fields"]
    else:
        fields = [{"name": name, "type": kind} for name, kind in _merged(found).items()]
    nullable = [{"metadata": {}, **_nullable(each), "nullable": True} for each in with_partitions(fields, found)]
    return json.dumps({"type": "struct", "fields": nullable})


def _shown(schema: str) -> str:
    """A Delta schema as Spark shows it: without what only Delta's own readers and writers need to know."""

    def shown(part: Any) -> Any:
        if isinstance(part, list):
            return [shown(each) for each in part]
        if not isinstance(part, dict):
            return part
        return {key: _user_metadata(value) if key == "metadata" else shown(value) for key, value in part.items()}

    return json.dumps(shown(json.loads(schema)))


def _user_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if not key.startswith("delta.") and key not in _DELTAS_OWN}


def _nullable(part: Any) -> Any:
    """The same JSON, with nulls allowed at every depth."""
    if isinstance(part, list):
        return [_nullable(each) for each in part]
    if not isinstance(part, dict):
        return part
    flags = ("nullable", "containsNull", "valueContainsNull")
    return {
        key: True if key in flags else value if key == "metadata" else _nullable(value) for key, value in part.items()
    }


def _merged(found: Snapshot) -> dict[str, Any]:
    """The columns of all files; a column has one type in all of them."""
    storage = found.location.storage()
    if storage is None or found.listing is None:
        raise SourceError(f"This process cannot reach {found.location.name}.")
    columns: dict[str, Any] = {}
    for schema in _schemas(storage, found):
        for field in schema:
            kind = _json(field.type, field.name, found)
            if columns.setdefault(field.name, kind) != kind:
                raise SourceError(
                    f"The files of {found.location.name} have different types for the column {field.name!r}.",
                    next_step="write them anew with one type, or set engine: spark.",
                )
    return columns


def _schemas(storage: Storage, found: Snapshot) -> Iterable[pa.Schema]:
    footers = found.listing.footers if found.listing is not None else {}
    first: dict[str, str] = {}
    for path, footer in footers.items():
        first.setdefault(footer.columns, path)
    for path in first.values():
        with storage.files.open_input_file(storage.at(path)) as stream:
            yield pq.read_schema(stream)


def _json(kind: pa.DataType, column: str, found: Snapshot) -> Any:
    types = pa.types
    if kind in _NAMES:
        return _NAMES[kind]
    if types.is_timestamp(kind) and kind.unit != "ns":
        return "timestamp_ntz" if kind.tz is None else "timestamp"
    if types.is_decimal128(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if types.is_dictionary(kind):
        return _json(kind.value_type, column, found)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return {"type": "array", "elementType": _json(kind.value_type, column, found), "containsNull": True}
    if types.is_map(kind):
        key, value = (_json(each, column, found) for each in (kind.key_type, kind.item_type))
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if types.is_struct(kind):
        fields = [
            {"name": each.name, "type": _json(each.type, column, found), "nullable": True, "metadata": {}}
            for each in kind
        ]
        return {"type": "struct", "fields": fields}
    raise SourceError(
        f"The column {column!r} of {found.location.name} is {kind}, which only Spark can say how to read.",
        next_step="set engine: spark.",
    )
