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
from spark_infer.tables.analysis import first_line
from spark_infer.tables.catalog import default_location, describe
from spark_infer.tables.delta_log import LogState, newest_state
from spark_infer.tables.disk import same_disk
from spark_infer.tables.durable import is_mount
from spark_infer.tables.location import TableLocation, canonical, qualify
from spark_infer.tables.predicate import quote_table
from spark_infer.tables.schema import schema_of
from spark_infer.tables.storage import Storage, plain_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
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


def new_location(spark: SparkSession | None, target: TargetConfig, source_format: str) -> TableLocation:
    """Where a target that does not exist yet is going to be; without ``format`` it is of the source's."""
    kind, here = target.format or source_format, same_disk(spark)
    if target.table is None or spark is None:
        return TableLocation(kind, qualify(spark, target), same_disk=here)
    place = default_location(spark, target.table)
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


def existing_table(spark: SparkSession | None, location: TableLocation, struct_type: type[StructType]) -> Existing:
    """Look at an existing target; of a Parquet folder, at a few footers.

    Args:
        spark: The session; None where there is none.
        location: The target.
        struct_type: The class of its schema.

    Raises:
        TargetError: It cannot be read.
    """
    try:
        if spark is None:
            return _without_spark(location, struct_type)
        if location.format == "delta":
            snapshot = delta.snapshot(spark, location, None)
            schema = delta.pinned_frame(spark, location, None).schema
            return Existing(schema, snapshot.partition_columns, {}, _log(location))
        if location.table:
            entry = describe(spark, location.table)
            return Existing(spark.table(location.table).schema, entry.partition_columns if entry else (), {})
        return _folder(spark, location, location.storage())
    except SourceError as error:
        raise TargetError(error.what, details=error.details, next_step=error.next_step) from error


def _without_spark(location: TableLocation, struct_type: type[StructType]) -> Existing:
    storage = location.storage()
    if location.format == "delta":
        found = delta.snapshot(None, location, None)
    elif storage is not None:
        found = parquet.snapshot(storage, location, most_footers=_FOOTERS_FOR_SCHEMA)
    else:
        raise TargetError(f"This process cannot reach {location.name}.")
    folder_types = found.types if location.format == "parquet" else {}
    try:
        schema = struct_type.fromJson(json.loads(schema_of(found)))
    except SourceError:
        raise
    except Exception as error:  # PySpark's exceptions cannot be named here
        raise TargetError(
            f"{location.name} has a column of a type that this PySpark does not know: {first_line(error)}",
            next_step="choose another target, or a version of PySpark that knows the type.",
        ) from error
    log = _log(location) if location.format == "delta" else None
    return Existing(schema, found.partition_columns, folder_types, log)


def _log(location: TableLocation) -> LogState | None:
    storage = location.storage()
    return newest_state(storage) if storage is not None else None


def _folder(spark: SparkSession, location: TableLocation, storage: Storage | None) -> Existing:
    if storage is None:
        raise TargetError(f"This process cannot reach {location.name}.")
    snapshot = parquet.snapshot(storage, location, most_footers=_FOOTERS_FOR_SCHEMA)
    return Existing(parquet.frame(spark, snapshot).schema, snapshot.partition_columns, snapshot.types)
