"""The formats that a table can have: what each of them decides, and the one place that chooses by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.tables.delta.format import DeltaFormat
from spark_infer.tables.delta.log import LogState
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.format import ParquetFormat
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup


class TableFormat(Protocol):
    """What differs between tables of one format and of another.

    Attributes:
        name: What a job calls it.
        has_log: Whether a log in the table's folder says which files belong to it.
        declares_columns: Whether the table says itself what its columns are; else its files do.
        catalog_decides: Whether the catalog says which files and columns its tables have, and keeps their files.
        takes_merge: Whether rows can be merged into a table by keys.
        needs_all_columns: Why rows have to bring all columns of a table; "" where it fills those that they lack.
        wants_plain_names: Whether names of new columns may hold no blank and no punctuation.
        is_replaced_by_rename: Whether a table is replaced by renaming folders, so that none is there for a moment.
        spark_commits: Whether Spark commits the rows that it writes; else it stages files, which a publisher moves.
        harm_of_plain_reading: What reading the files of a table as another format would do, as a sentence after a
            blank; "" where nothing is known.
        creation: How a new table is written into its folder, for the plan's sentence.
        addition: How rows are added to a table, for the plan's sentence.
    """

    name: str
    has_log: bool
    declares_columns: bool
    catalog_decides: bool
    takes_merge: bool
    needs_all_columns: str
    wants_plain_names: bool
    is_replaced_by_rename: bool
    spark_commits: bool
    harm_of_plain_reading: str
    creation: str
    addition: str

    def replacement(self, plan: WritePlan) -> str:
        """How rows of a table are replaced, for the plan's sentence."""

    def is_installed(self) -> bool:
        """Whether Spark can read such tables with what is installed here."""

    def session_conf(self) -> dict[str, str]:
        """Return the Spark settings that such tables need.

        Raises:
            EnvironmentProblem: A package that they need is not installed.
        """

    def check_engine(self, lookup: TableLookup) -> None:
        """Refuse an engine that cannot read such tables.

        Raises:
            EnvironmentProblem: Something that they need is missing.
        """

    def is_at(self, storage: Storage) -> bool:
        """Whether a folder holds a table of this format."""

    def source_snapshot(self, lookup: TableLookup, location: TableLocation, source: SourceConfig) -> Snapshot:
        """Pin the version of a source and describe it, before any filter.

        Raises:
            SourceError: The table is damaged, or does not have the version.
        """

    def counted(self, found: Snapshot) -> Snapshot:
        """Count the rows of a source, after its filter, where that is possible at no great cost."""

    def target_snapshot(self, lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
        """Describe the newest state of a target, as cheaply as its columns can be known.

        Raises:
            SourceError: The table is damaged.
            TargetError: This process cannot reach it.
        """

    def folder_types(self, newest: Snapshot) -> Mapping[str, str]:
        """Return the types of partition columns that only the names of a target's folders say."""

    def log_state(self, location: TableLocation) -> LogState | None:
        """Return what the log of a table says; None where there is none, or this process cannot read it."""

    def check_target(self, location: TableLocation, target: TargetConfig, *, exists: bool) -> None:
        """Refuse a target whose rows, or other files in its folder, could not be kept safe.

        Raises:
            TargetError: They could not, with the reason.
        """

    def write_doubts(self, plan: WritePlan, conf: Mapping[str, str], existing: LogState | None) -> Iterable[str]:
        """Why Spark should write such a target itself, beyond what holds for all formats; a clause each.

        Args:
            plan: The write.
            conf: The session's settings.
            existing: What the target's log says, where there is one and it is readable.
        """

    def publisher(self, work: PublishWork) -> Publisher:
        """Return what makes the files of a run part of its target; changes nothing."""

    def contents(self, table: Storage) -> dict[str, int] | None:
        """What a later command compares a table with that has no versions; None for one that has."""

    def has_run(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether a table is still the one that a finished run wrote to."""

    def is_unchanged(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether nobody has written to a table since a finished run."""

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


FORMATS: Mapping[str, TableFormat] = {each.name: each for each in (DeltaFormat(), ParquetFormat())}
"""All formats, by name."""


def format_of(name: str) -> TableFormat:
    """Return the format of a name that was checked."""
    return FORMATS[name]
