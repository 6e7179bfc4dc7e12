"""The formats that a table can have: what each of them decides, and the one place that chooses by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.config.write_modes import WriteMode
from spark_infer.tables.bookmark import ALL_ROWS, Bookmark, Span
from spark_infer.tables.delta.format import DeltaFormat
from spark_infer.tables.files.format import FilesFormat
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.format import ParquetFormat
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import PartitionScope
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.stored.format import StoredFormat
from spark_infer.tables.table_lookup import TableLookup


class TargetRules(Protocol):
    """What a target asks of rows that are written to it, and of the way they are written."""

    def refuse(self, target: TargetConfig) -> None:
        """Refuse a write mode that the table does not take, or that could lose rows or other files.

        Raises:
            TargetError: The reason.
        """

    def optional_columns(self, names: Collection[str], nullable: Collection[str], mode: WriteMode) -> tuple[str, ...]:
        """Return the columns of an existing table that rows need not bring.

        Args:
            names: The table's columns.
            nullable: Those of them that may be null.
            mode: The write mode.
        """

    def problems(self, target: TargetConfig, types: Mapping[str, str]) -> list[str]:
        """List what keeps rows from being written as asked, a clause each.

        Args:
            target: What the job says of the target.
            types: Column to type, of the rows.
        """


class WrittenBefore(Protocol):
    """What a table holds of earlier runs.

    Raises:
        WriteError: From each method: the table's log cannot be read.
    """

    def bookmark(self, table: Storage, job: str, report: Mapping[str, Any] | None) -> Bookmark | None:
        """Up to where a table holds the predictions of a job; None where it holds none.

        Args:
            table: The table.
            job: The job, as its bookmarks name it.
            report: What the newest finished run that left a bookmark reported; None where there is none.
        """

    def newest_batch(self, table: Storage, stream: str) -> int | None:
        """The newest micro-batch of a stream that a table has taken; None for none, and where that is not known.

        Args:
            table: The table.
            stream: The stream, as its commits name it.
        """

    def contents(self, table: Storage) -> dict[str, int] | None:
        """What a later command compares a table with that has no versions; None for one that has."""

    def has_run(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether a table is still the one that a finished run wrote to."""

    def is_unchanged(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether nobody has written to a table since a finished run."""

    def holds_partitions(self, table: Storage, report: Mapping[str, Any], scope: PartitionScope) -> bool:
        """Whether some table partitions hold all files of a finished run, and no others."""

    def lost_files(self, table: Storage, report: Mapping[str, Any]) -> list[str]:
        """Return those files of a finished run that are not part of the table any more."""

    def holds_rows(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether a table still holds at least a part of the rows of a finished run."""

    def holds_some_of(self, table: Storage, ledger: Ledger, run_id: str) -> bool:
        """Whether a table holds anything of a run that may be unfinished."""

    def rows_left(self, table: Storage, ledger: Ledger, run_id: str, *, one_by_one: bool) -> int:
        """Return how many rows of an unfinished run a table holds.

        Args:
            table: The target's folder.
            ledger: The account of the run.
            run_id: The run.
            one_by_one: Whether its units were published as they were done.
        """


class SourceFormat(Protocol):
    """What differs between sources of one format and of another.

    Attributes:
        name: What a job calls it.
        declares_columns: Whether the source says itself what its columns are; else its files do.
        catalog_decides: Whether the catalog says which files and columns its tables have, and keeps their files.
        reader: What reads its files without Spark (`Scan.reader`).
        new_target: The format of a new target whose job names none.
    """

    name: str
    declares_columns: bool
    catalog_decides: bool
    reader: str
    new_target: str

    def source_snapshot(
        self, lookup: TableLookup, location: TableLocation, source: SourceConfig, span: Span = ALL_ROWS
    ) -> Snapshot:
        """Pin the version of a source and describe it, before any filter.

        Args:
            lookup: What the engine knows of tables.
            location: The table.
            source: What to read.
            span: Which of its rows.

        Raises:
            SourceError: The table is damaged, or does not have the version.
        """

    def counted(self, found: Snapshot) -> Snapshot:
        """Count the rows of a source, after its filter, where that is possible at no great cost."""


class TableFormat(SourceFormat, Protocol):
    """What differs between tables of one format and of another: what a source is, and a target.

    Attributes:
        log_folder: The folder inside the table whose log says which files belong to it; "" where there is no log.
        takes_merge: Whether rows can be merged into a table by keys.
        needs_all_columns: Why rows have to bring all columns of a table; "" where it fills those that they lack.
        wants_plain_names: Whether names of new columns may hold no blank and no punctuation.
        is_replaced_by_rename: Whether a table is replaced by renaming folders, so that none is there for a moment.
        spark_commits: Whether Spark commits the rows that it writes; else it stages files, which a publisher moves.
        harm_of_plain_reading: What reading the files of a table as another format would do, as a sentence after a
            blank; "" where nothing is known.
        creation: How a new table is written into its folder, for the plan's sentence.
    """

    log_folder: str
    takes_merge: bool
    needs_all_columns: str
    wants_plain_names: bool
    is_replaced_by_rename: bool
    spark_commits: bool
    harm_of_plain_reading: str
    creation: str

    @property
    def written(self) -> WrittenBefore:
        """What a table holds of earlier runs."""

    def change(self, plan: WritePlan) -> str:
        """How a table that exists is changed, for the plan's sentence."""

    def is_installed(self) -> bool:
        """Whether Spark can read such tables with what is installed here."""

    def session_conf(self) -> dict[str, str]:
        """Return the Spark settings that such tables need.

        Raises:
            EnvironmentProblem: A package that they need is not installed.
        """

    def is_at(self, storage: Storage) -> bool:
        """Whether a folder holds a table of this format."""

    def target_snapshot(self, lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
        """Describe the newest state of a target, as cheaply as its columns can be known.

        Raises:
            SourceError: The table is damaged.
            TargetError: This process cannot reach it.
        """

    def folder_types(self, newest: Snapshot) -> Mapping[str, str]:
        """Return the types of partition columns that only the names of a target's folders say."""

    def rules(self, location: TableLocation, *, exists: bool) -> TargetRules:
        """Return what a target of this format asks of a write; reads its log, where it has one."""

    def write_doubts(self, plan: WritePlan, conf: Mapping[str, str]) -> Iterable[str]:
        """Why Spark should write such a target itself, beyond what holds for all formats; a clause each.

        Args:
            plan: The write.
            conf: The session's settings.
        """

    def publisher(self, work: PublishWork) -> Publisher:
        """Return what makes the files of a run part of its target; changes nothing."""

    def make_empty(self, work: PublishWork) -> None:
        """Make the table without rows, unless there is one."""

    def remove_files(self, work: PublishWork, paths: Sequence[str]) -> None:
        """Take files and their rows out of the table, once for each run.

        Raises:
            WriteError: Another writer has changed the table, and their rows are in other files now.
        """


FORMATS: Mapping[str, TableFormat] = {each.name: each for each in (DeltaFormat(), ParquetFormat())}
"""All formats of tables, by name."""

SOURCE_FORMATS: Mapping[str, SourceFormat] = {
    **FORMATS,
    FilesFormat.name: FilesFormat(),
    StoredFormat.name: StoredFormat(),
}
"""All that a source can be, by name."""


def format_of(name: str) -> TableFormat:
    """Return the format of a name that was checked."""
    return FORMATS[name]


def source_format_of(name: str) -> SourceFormat:
    """Return the format of a source, whose name was checked."""
    return SOURCE_FORMATS[name]
