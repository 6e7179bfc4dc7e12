"""The target as it is before a write: where it is, what it looks like, whether it can be protected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_infer.config import TargetConfig
from spark_infer.errors import SourceError, TargetError
from spark_infer.tables import delta, parquet
from spark_infer.tables.catalog import default_location, describe
from spark_infer.tables.location import TableLocation, canonical, qualify
from spark_infer.tables.predicate import quote_table
from spark_infer.tables.staging import leftovers
from spark_infer.tables.storage import Storage, open_storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

_FOOTERS_FOR_SCHEMA = 16


@dataclass(frozen=True)
class Existing:
    """What an existing target looks like.

    Attributes:
        schema: Its columns.
        partition_columns: Those that it is partitioned by.
        folder_types: Types of partition columns that only the folders' names tell.
    """

    schema: StructType
    partition_columns: tuple[str, ...]
    folder_types: Mapping[str, str]


def new_location(spark: SparkSession, target: TargetConfig, source_format: str) -> TableLocation:
    """Where a target that does not exist yet is going to be; without ``format`` it is of the source's."""
    kind = target.format or source_format
    if target.table is None:
        return TableLocation(kind, qualify(spark, target))
    place = default_location(spark, target.table)
    return TableLocation(kind, canonical(place) if place else None, quote_table(target.table))


def check_unused(location: TableLocation) -> None:
    """Refuse to make a table in a folder that holds something else.

    Raises:
        TargetError: The folder is not empty.
    """
    storage = open_storage(location.path) if location.path else None
    if storage is not None and (names := storage.names()):
        raise TargetError(
            f"The folder {storage.root} holds no table and is not empty.",
            details=[f"It holds: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"],
            next_step="remove what is there, or choose another target.",
        )


def check_storage(location: TableLocation, target: TargetConfig, *, exists: bool) -> None:
    """Refuse a Parquet target whose rows could not be kept safe until the new ones are complete.

    Raises:
        TargetError: Its file system cannot be reached or cannot rename a folder, or a killed write left rows beside it.
    """
    storage = open_storage(location.path) if location.path else None
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
    if left := leftovers(storage):
        raise TargetError(
            f"A write to {location.name} was killed half way, or is running now.",
            details=[f"Rows it had replaced are in {folder}/old" for folder in left],
            next_step="wait for it; or put the rows back or remove that folder, then run again.",
        )


def existing_table(spark: SparkSession, location: TableLocation) -> Existing:
    """Look at an existing target; of a Parquet folder, at a few footers.

    Raises:
        TargetError: It cannot be read.
    """
    try:
        if location.format == "delta":
            snapshot, _ = delta.snapshot(spark, location, None)
            return Existing(delta.pinned_frame(spark, location, None).schema, snapshot.partition_columns, {})
        if location.table:
            entry = describe(spark, location.table)
            return Existing(spark.table(location.table).schema, entry.partition_columns if entry else (), {})
        return _folder(spark, location, open_storage(location.path or ""))
    except SourceError as error:
        raise TargetError(error.what, details=error.details, next_step=error.next_step) from error


def _folder(spark: SparkSession, location: TableLocation, storage: Storage | None) -> Existing:
    if storage is None:
        raise TargetError(f"This process cannot reach {location.name}.")
    snapshot, _ = parquet.snapshot(storage, location, most_footers=_FOOTERS_FOR_SCHEMA)
    return Existing(parquet.frame(spark, snapshot).schema, snapshot.partition_columns, snapshot.types)
