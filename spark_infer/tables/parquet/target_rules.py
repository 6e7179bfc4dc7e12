"""Whether the rows of a Parquet target, and other files in its folder, can be kept safe."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping

from spark_infer.config import TargetConfig
from spark_infer.config.write_modes import WriteMode
from spark_infer.errors import TargetError
from spark_infer.tables.location import TableLocation
from spark_infer.tables.storage import Storage, plain_folder

_TABLE_FILES = ("_SUCCESS", "_metadata", "_common_metadata")
_TABLE_SUFFIXES = (".parquet", ".crc")


class ParquetRules:
    """What a Parquet table asks of a write; a `TargetRules`.

    Args:
        location: The table.
        exists: Whether it is there.
    """

    def __init__(self, location: TableLocation, *, exists: bool) -> None:
        self._location = location
        self._exists = exists

    def refuse(self, target: TargetConfig) -> None:
        """Refuse a target whose rows, or other files in its folder, could not be kept safe.

        Raises:
            TargetError: Its file system cannot be reached or cannot rename a folder, or an overwrite would remove files
                that are not part of a table.
        """
        location, exists = self._location, self._exists
        storage = location.storage()
        if storage is None:
            if location.table and not exists:
                return  # the catalog makes the table, with nothing to protect
            raise TargetError(
                f"This process cannot reach {location.name}, so it could not protect the rows that are there.",
                next_step="write a Delta table, or install what pyarrow.fs needs for this file system.",
            )
        if exists and target.write_mode.replaces_files and not storage.renames_atomically:
            raise TargetError(
                f"Plain Parquet on {storage.scheme}:// cannot be overwritten safely.",
                details=["An object store renames file by file, so that a failure would leave half of each table."],
                next_step="write a Delta table, or a new Parquet folder for each run.",
            )
        if exists and target.write_mode.replaces_table:
            _refuse_foreign_files(storage, location)

    def optional_columns(self, names: Collection[str], nullable: Collection[str], mode: WriteMode) -> tuple[str, ...]:
        """None: Spark takes the columns of a folder from one of its files."""
        return ()

    def problems(self, target: TargetConfig, types: Mapping[str, str]) -> list[str]:
        """None: files take whatever their columns take."""
        return []


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
