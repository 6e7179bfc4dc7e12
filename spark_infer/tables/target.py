"""The target as it is before a write: where it is, what it looks like, whether it can be protected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from spark_infer.config import TargetConfig
from spark_infer.errors import SourceError, TargetError
from spark_infer.tables.durable import is_mount
from spark_infer.tables.formats import format_of, source_format_of
from spark_infer.tables.locate import format_at, qualify
from spark_infer.tables.location import TableLocation, canonical
from spark_infer.tables.predicate import quote_table
from spark_infer.tables.table_lookup import TableLookup


@dataclass(frozen=True)
class Existing:
    """What an existing target looks like.

    Attributes:
        schema: Its columns.
        partition_columns: Those that it is partitioned by.
        folder_types: Types of partition columns that only the folders' names tell.
    """

    schema: pa.Schema
    partition_columns: tuple[str, ...]
    folder_types: Mapping[str, str]


def new_location(lookup: TableLookup, target: TargetConfig, source_format: str) -> TableLocation:
    """Where a target that does not exist yet is going to be; without ``format`` it is of the source's, if it can be."""
    kind, here = target.format or source_format_of(source_format).new_target, lookup.same_disk
    if target.table is None:
        return TableLocation(kind, qualify(lookup, target), same_disk=here)
    name, place = quote_table(target.table), lookup.catalog(target).default_location(target.table)
    if target.location is not None:
        place = qualify(lookup, TargetConfig(path=target.location))
    path = canonical(place, here=here) if place else None
    return TableLocation(kind, path, name, same_disk=here, external=target.location is not None)


def check_unused(location: TableLocation) -> None:
    """Refuse to make a table in a folder that holds something else.

    Raises:
        TargetError: The folder is not empty.
    """
    storage = location.storage()
    if storage is not None and storage.scheme == "file" and storage.kind() and is_mount(storage.root):
        raise TargetError(
            f"{storage.root} is a mount point, and a new table gets its place by a rename.",
            next_step="choose a folder below it.",
        )
    if storage is not None and location.table and (found := format_at(storage)):
        statement = f"CREATE TABLE {location.table} USING {found} LOCATION '{storage.root}'"
        raise TargetError(
            f"The folder {storage.root} holds a table already, which the catalog does not know as {location.name}.",
            next_step=f"register it with {statement}, or name the folder by `path`.",
        )
    if storage is not None and (names := storage.names()):
        raise TargetError(
            f"The folder {storage.root} holds no table and is not empty.",
            details=[f"It holds: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"],
            next_step="remove what is there, or choose another target.",
        )


def existing_table(lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Existing:
    """Look at an existing target; of a Parquet folder, at a few footers.

    Args:
        lookup: What the engine knows of tables.
        location: The target.
        target: What the job says of it.

    Raises:
        TargetError: It cannot be read.
    """
    try:
        table_format = format_of(location.format)
        newest = table_format.target_snapshot(lookup, location, target)
        schema = lookup.target_schema(newest)
        folder_types = table_format.folder_types(newest)
        return Existing(schema, newest.partition_columns, folder_types)
    except SourceError as error:
        raise TargetError(error.what, details=error.details, next_step=error.next_step) from error
