"""Where the bookmark of a target is, and what is known there of the runs that moved it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.errors import TargetError
from spark_infer.job.units.fingerprint import NEW_ROWS, job_key
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import Runs, plan_in, report_in
from spark_infer.job.units.seen_versions import seen_after
from spark_infer.job.units.slices import slice_key, slice_of
from spark_infer.tables.bookmark import SCORE_ALL, Bookmark, BookmarkMove, FileMark, Keys, Span
from spark_infer.tables.check_target import find_target
from spark_infer.tables.formats import WrittenBefore, format_of
from spark_infer.tables.ledger.access import access_of
from spark_infer.tables.ledger.ledger import LIST, Ledger
from spark_infer.tables.ledger.signed import facts_in
from spark_infer.tables.locate import locate
from spark_infer.tables.location import TableLocation
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup

LISTED = re.compile(r"files-([0-9a-f]{16})")
"""The `source_id` of a source without versions."""


@dataclass(frozen=True, kw_only=True)
class BookmarkPlace:
    """Where the bookmark of a job is.

    Attributes:
        table: The target's folder.
        location: The target.
        exists: Whether there is a table.
        written: What tells of the runs that wrote into it.
        runs: The runs of the job.
        config: The job.
    """

    table: Storage
    location: TableLocation
    exists: bool
    written: WrittenBefore
    runs: Runs
    config: JobConfig

    def span(self, since: Bookmark | None, to: Bookmark | None = None) -> Span:
        """The rows between two bookmarks, and what the target takes of changes."""
        seen = 0 if since is None else seen_after(self.runs, since)
        by = () if self.config.new_rows is None else self.config.new_rows.by
        removes = self.config.new_rows is not None and self.config.new_rows.deletes == "remove"
        return Span(
            since=self.with_files(since),
            to=self.with_files(to),
            seen=seen,
            keys=self.config.target.keys,
            by=Keys(columns=by, target=self.location) if by and self.exists else None,
            removes=removes,
        )

    def bookmark(self) -> Bookmark | None:
        """The bookmark of the target."""
        return self.written.bookmark(self.table, self.runs.job, self.newest_report) if self.exists else None

    def unfinished(self) -> tuple[Ledger, RunPlan, BookmarkMove] | None:
        """The newest run, where it is incremental, and was begun and neither finished nor given up."""
        known = self.runs.all()
        ledger = known[-1][2] if known else None
        if ledger is None or ledger.closed() or report_in(ledger) is not None:
            return None
        plan = plan_in(ledger)
        move = None if plan is None else move_in(plan.facts)
        return None if plan is None or move is None else (ledger, plan, move)

    def with_files(self, mark: Bookmark | None) -> Bookmark | None:
        """The bookmark with the list of files that a ledger keeps; as it is where the source has versions."""
        match = LISTED.fullmatch(mark.source_id) if mark is not None else None
        if match is None or mark is None:
            return mark
        name = list_name(match[1])
        for ledger in reversed(self.runs.of_all_slices()):
            if (text := ledger.read(name)) is not None:
                files: dict[str, FileMark] = {
                    str(path): (size, time) for path, (size, time) in facts_in(text, f"{ledger.folder.root}/{name}")
                }
                return replace(mark, files=files)
        raise TargetError(
            "The list of the source's files whose rows were scored is gone from the ledger beside the target.",
            details=[f"{self.runs.root.root}: {name}"],
            next_step=f"put it back; or {SCORE_ALL}",
        )

    @cached_property
    def newest_report(self) -> Mapping[str, Any] | None:
        """That of the newest run which left a bookmark, for whichever parameters: the bookmark is the job's."""
        newest: dict[str, Mapping[str, Any]] = {}
        for ledger in reversed(self.runs.of_all_slices()):  # of each slice the newest first
            part = ledger.name.rsplit(".", 2)[0]
            report = None if part in newest else report_in(ledger)
            if report is not None and Bookmark.of_facts(report):
                newest[part] = report
        return max(newest.values(), key=lambda each: datetime.fromisoformat(each["started_at"]), default=None)


def find_place(lookup: TableLookup, config: JobConfig) -> BookmarkPlace | None:
    """Find where the bookmark of a job is; None where its source is not there.

    Raises:
        TargetError: This process cannot reach the target's folder.
    """
    source = locate(lookup, config.source)
    if source is None:
        return None
    location, exists = find_target(lookup, config.target, source.format)
    table = location.storage()
    if table is None:
        raise TargetError(
            f"This process cannot reach the folder of {location.name}, where the bookmark of `incremental` is kept.",
            next_step="leave `incremental` out, or run where the folder can be reached.",
        )
    part = slice_key(slice_of(config))
    runs = Runs.of(table, config.name, job_key(source), part, access_of(table, config.target))
    written = format_of(location.format).written
    return BookmarkPlace(table=table, location=location, exists=exists, written=written, runs=runs, config=config)


def move_in(facts: Mapping[str, Any]) -> BookmarkMove | None:
    """Read from the facts of a run how it moves the bookmark; None for one that is not incremental."""
    move = facts.get(NEW_ROWS)
    if not isinstance(move, Mapping):
        return None
    found, since, to = (Bookmark.of_facts(move.get(name) or {}) for name in ("found", "since", "to"))
    return None if to is None else BookmarkMove(found=found, since=since, to=to)


def list_name(digits: str) -> str:
    """Name the list of files of a source without versions."""
    return f"{LIST}{digits}.json"
