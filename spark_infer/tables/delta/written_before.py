"""What a Delta table holds of earlier runs: which commits its log has taken, and which of their files are gone again.

Read by hand and not through deltalake, which opens no table with a reader feature that it does not know, and has no way
to see the files that one commit added or removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from pyarrow import ArrowException

from spark_infer.tables.bookmark import Bookmark
from spark_infer.tables.delta.actions import UnreadableLogError, commit_actions
from spark_infer.tables.delta.bookmarks import bookmark_in
from spark_infer.tables.delta.commit import published
from spark_infer.tables.delta.log import list_log, newest_state, replay_log
from spark_infer.tables.delta.log_history import reading, replaces, transactions
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.predicate import PartitionScope
from spark_infer.tables.publishing.work import app_of
from spark_infer.tables.storage import Storage


class DeltaWritten:
    """What a Delta table holds of earlier runs; a `WrittenBefore`."""

    def bookmark(self, table: Storage, job: str, report: Mapping[str, Any] | None) -> Bookmark | None:
        """That of the newest commit with rows of the job."""
        return bookmark_in(table, job)

    def newest_batch(self, table: Storage, stream: str) -> int | None:
        """The version of the application that the stream is to Delta."""
        with reading(table):
            return (transactions(table) or {}).get(stream)

    def contents(self, table: Storage) -> None:
        """None: a version says it."""

    def has_run(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether there is a log, with commits of the run."""
        return list_log(table) is not None and _took(table, report)

    def is_unchanged(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether the run's version is the newest."""
        log = list_log(table)
        return log is not None and report.get("target_version") == log.newest

    def holds_partitions(self, table: Storage, report: Mapping[str, Any], scope: PartitionScope) -> bool:
        """Compare them with the newest version; files with deleted rows are others."""
        log = list_log(table)
        if log is None:
            return False
        with reading(table):
            try:
                state = replay_log(table, log, log.newest)
            except UnreadableLogError as error:
                if not error.for_spark:
                    raise
                return self.is_unchanged(table, report)
        there = [file for file in state.files if scope.holds(file.values)]
        has_deletions = any(file.vector for file in there)
        return not has_deletions and {file.path for file in there} == set(report["some_files"])

    def lost_files(self, table: Storage, report: Mapping[str, Any]) -> list[str]:
        """Those that later commits removed."""
        return list(taken_back(table, report.get("some_files") or ()))

    def holds_rows(self, table: Storage, report: Mapping[str, Any]) -> bool:
        """Whether the log has commits of the run, and the table still has rows of them, in whatever files."""
        # Spark's files are not in the report.
        files = list(report.get("some_files") or ()) or added_in(table, report.get("target_version"))
        holds = _took(table, report) and (not files or len(taken_back(table, files)) < len(files))
        state = newest_state(table) if holds else None
        if state is None:
            return holds
        there = {file.path for file in state.files if file.rows != 0}
        made_of_them = _made_of(table, files, report) if there else None
        return bool(there if made_of_them is None else there & made_of_them)

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


def taken(storage: Storage, app: str) -> int | None:
    """The newest version of an application that the table's newest version has taken; 0 for none.

    None where the log is not to be read here.

    Raises:
        WriteError: The log cannot be read; then nothing is known.
    """
    with reading(storage):
        found = transactions(storage)
        return None if found is None else found.get(app, 0)


def added_in(storage: Storage, version: int | None) -> list[str]:
    """The files that a commit added; none where the log no longer has it.

    Raises:
        WriteError: The log cannot be read; then nothing is known.
    """
    listing = list_log(storage)
    if listing is None or version not in listing.commits:
        return []
    with reading(storage):
        actions = commit_actions(storage, [f"_delta_log/{version:020}.json"])
        return [unquote(action["add"]["path"]) for action in actions if "add" in action]


def taken_back(storage: Storage, paths: Iterable[str]) -> list[str]:
    """Those files that somebody took out of a table again together with their rows: restored or replaced it.

    Files whose rows were only rewritten, or of which single rows were deleted or updated, do not count. Only
    commits that are still in the log can tell.

    Args:
        storage: The table's folder.
        paths: Files that were added to it.

    Raises:
        WriteError: The log cannot be read; then nothing is known.
    """
    with reading(storage):
        return _taken_back(storage, paths)


def _taken_back(storage: Storage, paths: Iterable[str]) -> list[str]:
    return sorted(_followed(storage, paths)[1])


def _made_of(storage: Storage, files: Sequence[str], report: Mapping[str, Any]) -> set[str] | None:
    """The files of a run and those that commits have made of them; None where not all of either are known."""
    versions, listing = report.get("target_versions") or (), list_log(storage)
    if not versions or listing is None or report.get("files_written") != len(files):
        return None
    if not listing.commits.issuperset(range(min(versions), listing.newest + 1)):
        return None
    with reading(storage):
        return _followed(storage, files)[0]


def _followed(storage: Storage, paths: Iterable[str]) -> tuple[set[str], set[str]]:
    """Follow files through the log: these and what their rows were rewritten into, and which were taken back."""
    ours, gone = set(paths), set[str]()
    listing = list_log(storage)
    if not ours or listing is None:
        return ours, gone
    for version in sorted(listing.commits):
        actions = list(commit_actions(storage, [f"_delta_log/{version:020}.json"]))
        added, removed = (
            {unquote(each[kind]["path"]) for each in actions if kind in each} for kind in ("add", "remove")
        )
        gone -= added
        if any(replaces(action.get("commitInfo") or {}) for action in actions):
            gone |= removed & ours  # a mere append removes nothing
        elif removed & ours:
            ours |= added  # the same rows, or what an update left of them, in other files
    return ours, gone


def metrics_of(folder: Storage, version: int) -> Mapping[str, str]:
    """What a commit says of itself in its ``operationMetrics``; nothing where its entry is gone."""
    try:
        lines = (folder.read(f"_delta_log/{version:020}.json") or b"").decode().splitlines()
    except (ArrowException, OSError):
        return {}
    infos = [json.loads(line).get("commitInfo") for line in lines if '"commitInfo"' in line]
    return next((info.get("operationMetrics") or {} for info in infos if info), {})
