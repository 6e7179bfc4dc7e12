"""Delta as a table format: a log says which files and columns a table has, and what was written to it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.tables.delta import commit, delta_conf, table_snapshot
from spark_infer.tables.delta.commit import published
from spark_infer.tables.delta.eligibility import delta_write_doubts
from spark_infer.tables.delta.log import (
    LogState,
    added_in,
    has_delta_log,
    list_log,
    newest_state,
    taken,
    taken_back,
)
from spark_infer.tables.delta.publish import AppendUnits, Log, PublishWhole
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Publisher, PublishWork, app_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup


class DeltaFormat:
    """Delta tables; a `TableFormat`.

    Args:
        log: How publishers read and write Delta's log.
    """

    name = "delta"
    has_log = True
    declares_columns = True
    catalog_decides = False
    takes_merge = True
    needs_all_columns = ""
    wants_plain_names = True
    is_replaced_by_rename = False
    spark_commits = True
    harm_of_plain_reading = " Reading its files one by one would bring back deleted rows."
    creation = "in one Delta commit"
    addition = "in one Delta commit"

    def __init__(self, log: Log = commit) -> None:
        self._log = log

    def replacement(self, plan: WritePlan) -> str:
        """A commit."""
        return "in one Delta commit"

    def is_installed(self) -> bool:
        """Whether the package delta-spark is installed."""
        return importlib.util.find_spec("delta") is not None

    def session_conf(self) -> dict[str, str]:
        """Delta's jar, SQL extension and catalog."""
        return delta_conf()

    def check_engine(self, lookup: TableLookup) -> None:
        """Refuse an engine without Delta."""
        lookup.check_delta()

    def is_at(self, storage: Storage) -> bool:
        """Whether there is a log."""
        return has_delta_log(storage)

    def source_snapshot(self, lookup: TableLookup, location: TableLocation, source: SourceConfig) -> Snapshot:
        """Pin the version asked for, or the newest."""
        return table_snapshot.snapshot(lookup, location, source.version)

    def counted(self, found: Snapshot) -> Snapshot:
        """Nothing is left to count: the log has the rows, or nobody knows them."""
        return found

    def target_snapshot(self, lookup: TableLookup, location: TableLocation, target: TargetConfig) -> Snapshot:
        """The newest version."""
        return table_snapshot.snapshot(lookup, location, None)

    def folder_types(self, newest: Snapshot) -> Mapping[str, str]:
        """None: the log declares the types."""
        return {}

    def log_state(self, location: TableLocation) -> LogState | None:
        """The newest state; None where only Spark can read the log."""
        storage = location.storage()
        return newest_state(storage) if storage is not None else None

    def check_target(self, location: TableLocation, target: TargetConfig, *, exists: bool) -> None:
        """Accept: a commit that fails leaves the table as it was."""

    def write_doubts(self, plan: WritePlan, conf: Mapping[str, str], existing: LogState | None) -> Iterable[str]:
        """Features and rules of the table that only Spark keeps."""
        return delta_write_doubts(plan, conf, existing)

    def publisher(self, work: PublishWork) -> Publisher:
        """Commits, one for each unit or one for all."""
        return AppendUnits(work, self._log) if work.plan.one_by_one else PublishWhole(work, self._log)

    def contents(self, table: Storage) -> None:
        """None: a version says it."""

    def has_run(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether there is a log, with commits of the run."""
        return list_log(table) is not None and _took(table, report)

    def is_unchanged(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether the run's version is the newest."""
        log = list_log(table)
        return log is not None and report.get("target_version") == log.newest

    def lost_files(self, table: Storage, report: Mapping[str, Any]) -> list[str]:
        """Those that later commits removed."""
        return list(taken_back(table, report.get("some_files") or ()))

    def holds_rows(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether the log has commits of the run, and still has some of its files."""
        # Spark's files are not in the report.
        files = list(report.get("some_files") or ()) or added_in(table, report.get("target_version"))
        return _took(table, report) and (not files or len(taken_back(table, files)) < len(files))

    def holds_some_of(self, table: Storage, ledger: Ledger, run_id: str) -> bool:
        """Whether the log has commits of the run."""
        return bool(published(table, app_of(ledger, run_id)))

    def rows_left(self, table: Storage, ledger: Ledger, run_id: str, *, one_by_one: bool) -> int:
        """The rows of the units that the log has taken."""
        sealed = ledger.all_sealed()
        newest = published(table, app_of(ledger, run_id))
        return sum(entry.rows for unit, entry in sealed.items() if newest and (unit < newest or not one_by_one))


def _took(table: Storage, report: Mapping[str, Any]) -> bool:
    """Whether a table's log has commits of a run."""
    app = str(report.get("app"))
    found = taken(table, app)
    return bool(published(table, app) if found is None else found)
