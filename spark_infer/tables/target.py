"""The target as it is before a write: where it is, what it looks like, whether it can be protected."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_infer.config import TargetConfig
from spark_infer.errors import SourceError, TargetError
from spark_infer.tables import delta, parquet
from spark_infer.tables.delta_log import LogState, newest_state
from spark_infer.tables.durable import is_mount
from spark_infer.tables.location import TableLocation, canonical, qualify
from spark_infer.tables.predicate import quote_table
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage, plain_folder
from spark_infer.tables.table_lookup import TableLookup

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

_FOOTERS_FOR_SCHEMA = 16
_TABLE_FILES = ("_SUCCESS", "_metadata", "_common_metadata")
_TABLE_SUFFIXES = (".parquet", ".crc")


@dataclass(frozen=True)
class Existing:
    """What an existing target looks like.

    Attributes:
        schema: Its columns.
        partition_columns: Those that it is partitioned by.
        folder_types: Types of partition columns that only the folders' names tell.
        log: What a Delta table's log says; None for other tables, and where only Spark can read it.
    """

    schema: StructType
    partition_columns: tuple[str, ...]
    folder_types: Mapping[str, str]
    log: LogState | None = None


def new_location(lookup: TableLookup, target: TargetConfig, source_format: str) -> TableLocation:
    """Where a target that does not exist yet is going to be; without ``format`` it is of the source's."""
    kind, here = target.format or source_format, lookup.same_disk
    if target.table is None:
        return TableLocation(kind, qualify(lookup, target), same_disk=here)
    place = lookup.catalog(target).default_location(target.table)
    path = canonical(place, here=here) if place else None
    return TableLocation(kind, path, quote_table(target.table), same_disk=here)


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
    if storage is not None and (names := storage.names()):
        raise TargetError(
            f"The folder {storage.root} holds no table and is not empty.",
            details=[f"It holds: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"],
            next_step="remove what is there, or choose another target.",
        )


def check_storage(location: TableLocation, target: TargetConfig, *, exists: bool) -> None:
    """Refuse a Parquet target whose rows, or other files in its folder, could not be kept safe.

    Raises:
        TargetError: Its file system cannot be reached or cannot rename a folder, a killed write left rows beside it, or
            an overwrite would remove files that are no part of a table.
    """
    storage = location.storage()
    if storage is None:
        if location.table and not exists:
            return  # the catalog makes the table, with nothing to protect
        raise TargetError(
            f"This process cannot reach {location.name}, so it could not protect the rows that are there.",
            next_step="write a Delta table, or install what pyarrow.fs needs for this file system.",
        )
    if exists and target.mode.startswith("overwrite") and not storage.renames_atomically:
        raise TargetError(
            f"Plain Parquet on {storage.scheme}:// cannot be overwritten safely.",
            details=["An object store renames file by file, so that a failure would leave half of each table."],
            next_step="write a Delta table, or a new Parquet folder for each run.",
        )
    if exists and target.mode == "overwrite":
        _refuse_foreign_files(storage, location)


def _refuse_foreign_files(storage: Storage, location: TableLocation) -> None:
    # The whole folder is exchanged, so that whatever else lies in it would go with the old rows.
    foreign = [path for path in storage.every_path() if _is_foreign(path)]
    if foreign:
        raise TargetError(
            f"Overwriting {location.name} would remove files that are no part of a Parquet table.",
            details=[f"It holds: {', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''}"],
            next_step="move them away, or choose another folder.",
        )


def _is_foreign(path: str) -> bool:
    name = posixpath.basename(path)
    return plain_folder(path) is not None or not (name in _TABLE_FILES or name.endswith(_TABLE_SUFFIXES))


def existing_table(
    lookup: TableLookup, location: TableLocation, target: TargetConfig, struct_type: type[StructType]
) -> Existing:
    """Look at an existing target; of a Parquet folder, at a few footers.

    Args:
        lookup: What the engine knows of tables.
        location: The target.
        target: What the job says of it.
        struct_type: The class of its schema.

    Raises:
        TargetError: It cannot be read.
    """
    try:
        if location.format == "delta":
            newest = delta.snapshot(lookup, location, None)
            schema = _parsed(lookup.target_schema(newest), location, struct_type)
            return Existing(schema, newest.partition_columns, {}, _log(location))
        newest = _parquet_snapshot(lookup, location, target)
        schema = _parsed(lookup.target_schema(newest), location, struct_type)
        return Existing(schema, newest.partition_columns, {} if location.table else newest.types)
    except SourceError as error:
        raise TargetError(error.what, details=error.details, next_step=error.next_step) from error


def _parsed(schema: str, location: TableLocation, struct_type: type[StructType]) -> StructType:
    try:
        return struct_type.fromJson(json.loads(schema))
    except Exception as error:  # PySpark's exceptions cannot be named here
        raise TargetError(
            f"{location.name} has a column of a type that this PySpark does not know: {error}",
            next_step="choose another target, or a version of PySpark that knows the type.",
        ) from error


def _log(location: TableLocation) -> LogState | None:
    storage = location.storage()
    return newest_state(storage) if storage is not None else None


def _parquet_snapshot(lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
    if location.table:
        entry = lookup.catalog(target).describe(location.table)
        return lookup.unlisted_parquet(location, entry.partition_columns if entry else ())
    storage = location.storage()
    if storage is None:
        raise TargetError(f"This process cannot reach {location.name}.")
    return parquet.snapshot(storage, location, most_footers=_FOOTERS_FOR_SCHEMA)
