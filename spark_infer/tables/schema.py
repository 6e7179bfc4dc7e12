"""The columns of a table, as Spark has them, where there is no Spark to ask.

https://spark.apache.org/docs/latest/sql-data-sources-parquet.html: columns of Parquet files may hold nulls, whatever
the files say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from spark_infer.errors import SourceError
from spark_infer.tables.formats import source_format_of
from spark_infer.tables.listing import Listing
from spark_infer.tables.parquet.table_snapshot import with_partitions
from spark_infer.tables.scan.parquet_schema import Node
from spark_infer.tables.scan.spark_types import spark_type
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import (
    NoSparkTypeError,
    field_from_json,
    field_to_json,
    schema_from_json,
    unsupported,
)

_DELTAS_OWN = ("parquet.field.id", "parquet.field.nested.ids")
"""Metadata of a column that Delta keeps to itself, besides that whose name begins with ``delta.``:
https://github.com/delta-io/delta/blob/master/spark/src/main/scala/org/apache/spark/sql/delta/DeltaTable.scala,
`removeInternalDeltaMetadata`."""


def schema_of(found: Snapshot) -> pa.Schema:
    """Return all columns of a snapshot.

    Columns of Parquet files have the types that Spark would give them. Those that Spark refuses have the type that
    holds their values exactly; where there is none they cannot be read (`spark_json.unsupported`).

    Raises:
        SourceError: The files do not say what their columns are.
    """
    if found.declared is None:
        return with_partitions(_merged(found), found)
    if source_format_of(found.location.format).declares_columns:
        return _changed(found.declared, _shown)
    return with_partitions(_changed(found.declared, _nullable), found)


def _changed(schema: pa.Schema, change: Callable[[Any], Any]) -> pa.Schema:
    return schema_from_json(change(field_to_json(field)) for field in schema)


def _shown(part: Any) -> Any:
    """The JSON of a Delta column as Spark shows it: without what only Delta's own readers and writers need to know."""
    if isinstance(part, list):
        return [_shown(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {key: _user_metadata(value) if key == "metadata" else _shown(value) for key, value in part.items()}


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


def _merged(found: Snapshot) -> list[pa.Field]:
    """The columns of all files."""
    listing = found.listing or Listing(())
    columns: dict[str, dict[Node, None]] = {}
    for nodes in listing.schemas:
        for node in nodes:
            columns.setdefault(node.name, {})[node] = None
    if not columns:
        raise SourceError(
            f"The columns of {found.location.name} cannot be read here: {_reason(listing)}.",
            next_step="set engine: spark, in a session that can read the files.",
        )
    return [_column(name, list(nodes)) for name, nodes in columns.items()]


def _reason(listing: Listing) -> str:
    doubts = (footer.doubt for footer in listing.footers.values() if footer.doubt)
    return next(doubts, "this process cannot reach its files")


def _column(name: str, nodes: list[Node]) -> pa.Field:
    """A column, as the files have it that hold values of it."""
    nodes = [node for node in nodes if node.annotation != "UNKNOWN"] or nodes
    try:
        first, *others = (spark_type(node, beyond_spark=True) for node in nodes)
    except NoSparkTypeError as error:
        return unsupported(name, f"{error} in the files, for which Spark has no type that engine `local` can carry")
    if any(other != first for other in others):
        return unsupported(name, f"of different types in different files ({', '.join(map(str, nodes))})")
    return field_from_json({"name": name, "type": first})
