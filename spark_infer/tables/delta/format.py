"""Delta as a table format: a log says which files and columns a table has, and what was written to it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.tables.bookmark import ALL_ROWS, Span
from spark_infer.tables.delta import commit, delta_conf, table_snapshot
from spark_infer.tables.delta.eligibility import delta_write_doubts
from spark_infer.tables.delta.log import LogState, has_delta_log, newest_state
from spark_infer.tables.delta.publish import AppendUnits, Log, PublishWhole, make_empty, remove_files
from spark_infer.tables.delta.target_rules import DeltaRules
from spark_infer.tables.delta.written_before import DeltaWritten
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup


class DeltaFormat:
    """Delta tables; a `TableFormat`.

    Args:
        log: How publishers read and write Delta's log.
    """

    name = "delta"
    log_folder = "_delta_log"
    declares_columns = True
    catalog_decides = False
    reader = "parquet"
    new_target = "delta"
    takes_merge = True
    needs_all_columns = ""
    wants_plain_names = True
    is_replaced_by_rename = False
    spark_commits = True
    harm_of_plain_reading = " Reading its files one by one would bring back deleted rows."
    written = DeltaWritten()
    creation = "in one Delta commit"

    def __init__(self, log: Log = commit) -> None:
        self._log = log

    def change(self, plan: WritePlan) -> str:
        """A commit."""
        return "in one Delta commit"

    def is_installed(self) -> bool:
        """Whether the package delta-spark is installed."""
        return importlib.util.find_spec("delta") is not None

    def session_conf(self) -> dict[str, str]:
        """Delta's jar, SQL extension and catalog."""
        return delta_conf()

    def is_at(self, storage: Storage) -> bool:
        """Whether there is a log."""
        return has_delta_log(storage)

    def source_snapshot(
        self, lookup: TableLookup, location: TableLocation, source: SourceConfig, span: Span = ALL_ROWS
    ) -> Snapshot:
        """Pin the version asked for, or the newest."""
        return table_snapshot.snapshot(lookup, location, source.version, span)

    def counted(self, found: Snapshot) -> Snapshot:
        """Nothing is left to count: the log has the rows, or nobody knows them."""
        return found

    def target_snapshot(self, lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
        """The newest version."""
        return table_snapshot.snapshot(lookup, location, None)

    def folder_types(self, newest: Snapshot) -> Mapping[str, str]:
        """None: the log declares the types."""
        return {}

    def rules(self, location: TableLocation, *, exists: bool) -> DeltaRules:
        """Those of the table's newest version."""
        return DeltaRules(location, _newest_state(location) if exists else None)

    def write_doubts(self, plan: WritePlan, conf: Mapping[str, str]) -> Iterable[str]:
        """Features and rules of the table that only Spark keeps."""
        return delta_write_doubts(plan, conf, None if plan.creates else _newest_state(plan.location))

    def publisher(self, work: PublishWork) -> Publisher:
        """Commits, one for each unit or one for all."""
        return AppendUnits(work, self._log) if work.plan.one_by_one else PublishWhole(work, self._log)

    def make_empty(self, work: PublishWork) -> None:
        """Write version 0, without files."""
        make_empty(work, self._log)

    def remove_files(self, work: PublishWork, paths: Sequence[str]) -> None:
        """One commit, with a transaction identifier of its own."""
        remove_files(work, self._log, paths)


def _newest_state(location: TableLocation) -> LogState | None:
    """What the log says; None where only Spark can read it."""
    storage = location.storage()
    return newest_state(storage) if storage is not None else None
