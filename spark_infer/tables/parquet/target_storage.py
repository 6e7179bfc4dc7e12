"""An existing Parquet folder as a target: what it looks like, and whether its rows and other files can be kept safe."""

from __future__ import annotations

import posixpath

from spark_infer.config import TargetConfig
from spark_infer.errors import TargetError
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet import table_snapshot
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage, plain_folder
from spark_infer.tables.table_lookup import TableLookup

_FOOTERS_FOR_SCHEMA = 16
_TABLE_FILES = ("_SUCCESS", "_metadata", "_common_metadata")
_TABLE_SUFFIXES = (".parquet", ".crc")


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


def target_snapshot(lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
    """Describe an existing target by a few footers, or as the catalog knows it.

    Raises:
        SourceError: A file is not a readable Parquet file, or lies outside the partition folders.
        TargetError: This process cannot reach the folder.
    """
    if location.table:
        entry = lookup.catalog(target).describe(location.table)
        return lookup.unlisted_parquet(location, entry.partition_columns if entry else ())
    storage = location.storage()
    if storage is None:
        raise TargetError(f"This process cannot reach {location.name}.")
    return table_snapshot.snapshot(storage, location, most_footers=_FOOTERS_FOR_SCHEMA)
