"""Plain Parquet as a table format: a table is the files in its folder, or what the catalog says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.errors import SourceError
from spark_infer.tables.delta.log import LogState
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet import table_snapshot, target_storage
from spark_infer.tables.parquet.publish import AppendUnits, PublishWhole
from spark_infer.tables.parquet.streamlog import has_stream_log
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup


class ParquetFormat:
    """Folders of Parquet files, and Parquet tables of a catalog; a `TableFormat`."""

    name = "parquet"
    has_log = False
    declares_columns = False
    catalog_decides = True
    takes_merge = False
    needs_all_columns = (
        "Spark takes the columns of a Parquet folder from one of its files, so that files with fewer may hide the "
        "others: bring the column, or use Delta"
    )
    wants_plain_names = False
    is_replaced_by_rename = True
    spark_commits = False
    harm_of_plain_reading = ""
    creation = "written straight into its new folder"
    addition = "written beside it and moved in file by file when complete"

    def replacement(self, plan: WritePlan) -> str:
        """An exchange of folders."""
        if plan.scope is not None:
            return "written beside it and exchanged partition by partition when complete"
        return "written beside it and exchanged when complete"

    def is_installed(self) -> bool:
        """Spark itself reads and writes them."""
        return True

    def session_conf(self) -> dict[str, str]:
        """Nothing is needed."""
        return {}

    def check_engine(self, lookup: TableLookup) -> None:
        """Accept: every engine reads them."""

    def is_at(self, storage: Storage) -> bool:
        """Whether there is a file with rows, or a stream writes the folder."""
        return has_stream_log(storage) or any(file.size for file in storage.data_files())

    def source_snapshot(self, lookup: TableLookup, location: TableLocation, source: SourceConfig) -> Snapshot:
        """List the folder, or ask the catalog where that knows which partitions belong to the table."""
        if source.version is not None:
            raise SourceError(
                f"{location.name} is a Parquet table and has no versions; `version: {source.version}` was asked for.",
                next_step="leave `version` out.",
            )
        storage = location.storage()
        entry = lookup.catalog(source).describe(source.table) if source.table else None
        columns = entry.partition_columns if entry else ()
        if storage is None or columns:
            return lookup.unlisted_parquet(location, columns)
        return table_snapshot.snapshot(storage, location)

    def counted(self, found: Snapshot) -> Snapshot:
        """Read the footers that are still missing, unless they are many."""
        storage = found.location.storage()
        return found if storage is None else table_snapshot.counted(storage, found)

    def target_snapshot(self, lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
        """List the folder and read a few footers, or ask the catalog."""
        return target_storage.target_snapshot(lookup, location, target)

    def folder_types(self, newest: Snapshot) -> Mapping[str, str]:
        """The types that the folders' names allow; the catalog declares those of its tables."""
        return {} if newest.location.table else newest.types

    def log_state(self, location: TableLocation) -> LogState | None:
        """None: there is no log."""
        return None

    def check_target(self, location: TableLocation, target: TargetConfig, *, exists: bool) -> None:
        """Check that the folder can be renamed, and that nothing else lies in it."""
        target_storage.check_storage(location, target, exists=exists)

    def write_doubts(self, plan: WritePlan, conf: Mapping[str, str], existing: LogState | None) -> Iterable[str]:
        """Nothing more."""
        return ()

    def publisher(self, work: PublishWork) -> Publisher:
        """Moves of files, or exchanges of folders."""
        return AppendUnits(work) if work.plan.one_by_one else PublishWhole(work)

    def contents(self, table: Storage) -> dict[str, int]:
        """How many files the folder holds, and their bytes."""
        files = table.data_files()
        return {"files": len(files), "bytes": sum(file.size for file in files)}

    def has_run(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Nothing but the files tells."""
        return True

    def is_unchanged(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether all of the run's files are there, and the folder holds as much as it did."""
        files = list(report.get("some_files") or ())
        return bool(files) and not self.lost_files(table, report) and self.contents(table) == report.get("in_table")

    def lost_files(self, table: Storage, report: Mapping[str, Any]) -> list[str]:
        """Those that are not in the folder any more."""
        infos = table.files.get_file_info([table.at(path) for path in report.get("some_files") or ()])
        return [info.path for info in infos if not info.is_file]

    def holds_rows(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether one of the run's files is there."""
        return _any_there(table, report.get("some_files") or ())

    def holds_some_of(self, table: Storage, ledger: Ledger, run_id: str) -> bool:
        """Whether one of the run's files is there."""
        return _any_there(table, [file.path for entry in ledger.all_sealed().values() for file in entry.files])

    def rows_left(self, table: Storage, ledger: Ledger, run_id: str, *, one_by_one: bool) -> int:
        """The rows of the run's files that are there."""
        files = [file for entry in ledger.all_sealed().values() for file in entry.files]
        there = table.files.get_file_info([table.at(file.path) for file in files])
        return sum(file.rows for file, info in zip(files, there, strict=True) if info.is_file)


def _any_there(table: Storage, paths: Sequence[str]) -> bool:
    return any(info.is_file for info in table.files.get_file_info([table.at(path) for path in paths]))
