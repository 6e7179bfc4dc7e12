"""Plain Parquet as a table format: a table is the files in its folder, or what the catalog says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.errors import SourceError
from spark_infer.tables.bookmark import ALL_ROWS, Span
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet import table_snapshot
from spark_infer.tables.parquet.publish import AppendUnits, PublishWhole, make_empty, remove_files
from spark_infer.tables.parquet.streamlog import has_stream_log
from spark_infer.tables.parquet.target_rules import ParquetRules
from spark_infer.tables.parquet.written_before import ParquetWritten
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup


class ParquetFormat:
    """Folders of Parquet files, and Parquet tables of a catalog; a `TableFormat`."""

    name = "parquet"
    log_folder = ""
    declares_columns = False
    catalog_decides = True
    reader = "parquet"
    new_target = "parquet"
    takes_merge = False
    needs_all_columns = (
        "Spark takes the columns of a Parquet folder from one of its files, so that files with fewer may hide the "
        "others: bring the column, or use Delta"
    )
    wants_plain_names = False
    is_replaced_by_rename = True
    spark_commits = False
    harm_of_plain_reading = ""
    written = ParquetWritten()
    creation = "written straight into its new folder"

    def change(self, plan: WritePlan) -> str:
        """Moves of files, or an exchange of folders."""
        if plan.mode.adds_only:
            return "written beside it and moved in file by file when complete"
        if plan.scope is not None:
            return "written beside it and exchanged partition by partition when complete"
        return "written beside it and exchanged when complete"

    def is_installed(self) -> bool:
        """Spark itself reads and writes them."""
        return True

    def session_conf(self) -> dict[str, str]:
        """Nothing is needed."""
        return {}

    def is_at(self, storage: Storage) -> bool:
        """Whether there is a file with rows, or a stream writes the folder."""
        return has_stream_log(storage) or any(file.size for file in storage.data_files())

    def source_snapshot(
        self, lookup: TableLookup, location: TableLocation, source: SourceConfig, span: Span = ALL_ROWS
    ) -> Snapshot:
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
            refusal = table_snapshot.unreachable(location)
            return lookup.describe(location, partition_columns=columns, refusal=refusal)
        return table_snapshot.snapshot(storage, location, span)

    def counted(self, found: Snapshot) -> Snapshot:
        """Read the footers that are still missing, unless they are many."""
        storage = found.location.storage()
        return found if storage is None else table_snapshot.counted(storage, found)

    def target_snapshot(self, lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
        """List the folder and read a few footers, or ask the catalog."""
        return table_snapshot.target_snapshot(lookup, location, target)

    def folder_types(self, newest: Snapshot) -> Mapping[str, str]:
        """The types that the folders' names allow; the catalog declares those of its tables."""
        return {} if newest.location.table else newest.types

    def rules(self, location: TableLocation, *, exists: bool) -> ParquetRules:
        """Those of a folder whose files are moved and exchanged."""
        return ParquetRules(location, exists=exists)

    def write_doubts(self, plan: WritePlan, conf: Mapping[str, str]) -> Iterable[str]:
        """Nothing more."""
        return ()

    def publisher(self, work: PublishWork) -> Publisher:
        """Moves of files, or exchanges of folders."""
        return AppendUnits(work) if work.plan.adds_to_table else PublishWhole(work)

    def make_empty(self, work: PublishWork) -> None:
        """Put a file with the columns and no rows into the folder."""
        make_empty(work)

    def remove_files(self, work: PublishWork, paths: Sequence[str]) -> None:
        """One by one: a reader may see some of them after others are gone."""
        remove_files(work, paths)
