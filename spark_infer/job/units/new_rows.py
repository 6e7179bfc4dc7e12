"""What an incremental job reads: the rows that came after the bookmark of its target, or all rows of its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.errors import PlanError, SourceError, TargetError
from spark_infer.job.trial import UNTRIED, Trial
from spark_infer.job.units.bookmark_place import LISTED, BookmarkPlace, find_place, list_name
from spark_infer.job.units.fingerprint import digest, scoring_digest
from spark_infer.job.units.runs import Runs, before_running
from spark_infer.job.units.seen_versions import remember
from spark_infer.models.ref import ModelRef
from spark_infer.tables.bookmark import ALL_ROWS, BY_KEY, SCORE_ALL, Bookmark, BookmarkMove, FileMark, Span
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.ledger.signed import signed
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.table_lookup import TableLookup

_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class WantedRows:
    """Which rows of its source a job reads, and what the bookmark of its target will say.

    Attributes:
        span: The rows.
        found: The bookmark of the target; None where it has none, and for a job that is not incremental.
        now: What the bookmark will say, but for the source's version; None for a job that is not incremental.
        left: What the run that left it reported; nothing where it is not known.
        gives_up: Whether an unfinished run is given up, of which the target holds nothing.
        notes: What the reader of plan and report should know, a sentence each.
    """

    span: Span = ALL_ROWS
    found: Bookmark | None = None
    now: Bookmark | None = None
    left: Mapping[str, Any] = field(default_factory=dict, repr=False)
    gives_up: bool = False
    notes: tuple[str, ...] = ()

    def move(self, snapshot: Snapshot) -> BookmarkMove | None:
        """Return how the run moves the bookmark; None for a job that is not incremental.

        Raises:
            SourceError: Only Spark knows the files of the source.
        """
        if self.now is None:
            return None
        if snapshot.listing is None and not snapshot.by_feed:
            raise SourceError(
                f"Only Spark knows the files of {snapshot.location.name}, and so it is unknown which are new.",
                next_step="leave `incremental` out.",
            )
        since = self.span.since
        if snapshot.version is not None:
            to = replace(self.now, source_id=snapshot.table_id, source_version=snapshot.version)
        else:
            before = {} if since is None or snapshot.listed is not None else since.files
            there = {each.path: (each.size, each.modified_ns) for each in snapshot.every_file or ()}
            files = {**before, **there}
            to = replace(self.now, source_id=_id_of(files), source_version=len(files), files=files)
        return BookmarkMove(found=self.found, since=since, to=to)

    def trial(self, snapshot: Snapshot, key: str) -> Trial | None:
        """Return what is known of the model without loading it; None where it is to be tried.

        Args:
            snapshot: The rows to score.
            key: All that a trial of it depends on.
        """
        return UNTRIED if snapshot.nothing_new else Trial.of_facts(self.left, key)

    def refuse_plane(self, plane: Plane, snapshot: Snapshot) -> None:
        """Refuse a plane that reads all rows, whatever is listed; the change data feed has the right ones.

        Raises:
            PlanError: It is that of Spark.
        """
        if self.now is not None and plane.name == "spark" and not snapshot.by_feed:
            raise PlanError(
                "Only Spark can read these rows as they should be read, and `incremental` has workers read new files.",
                details=[plane.why],
                next_step="leave `incremental` out.",
            )


@before_running()
def wanted_rows(lookup: TableLookup, config: JobConfig, ref: ModelRef, *, new_run: bool) -> WantedRows:
    """Decide which rows of its source a job reads; changes nothing.

    Args:
        lookup: What the engine knows of tables.
        config: The job.
        ref: Its model.
        new_run: Whether the user wants a new run whatever was done before. One that appends goes on from the bookmark,
            or compares keys, since it would add rows twice otherwise; a merge reads all rows.

    Raises:
        TargetError: The target's bookmark is of other rows than the job selects, or cannot be used.
        LedgerRefusedError: The account of a run is damaged.
    """
    place = find_place(lookup, config) if config.new_rows is not None else None
    if place is None:  # where there is no source, that is the next to be found out
        return WantedRows()
    wanted = WantedRows(found=place.bookmark(), now=_bookmark_now(config, ref, place.runs))
    if new_run:
        return _appended_again(place, config, wanted) if config.target.write_mode.adds_only else wanted
    wanted = replace(wanted, left=place.newest_report or {})
    if (unfinished := place.unfinished()) is not None:
        ledger, plan, move = unfinished
        touched = place.written.holds_some_of(place.table, ledger, plan.run_id)
        is_free = not touched and not at_work(ledger)
        begins_again = is_free and not ledger.done() and LISTED.fullmatch(move.to.source_id)
        if not begins_again:  # else its files may be corrected: they are listed again
            if pinned := _pinned(place, wanted, move, touched=touched):
                return pinned
            wanted = replace(wanted, gives_up=is_free)
    return wanted if config.target.write_mode.replaces_table else _after_bookmark(place, config, wanted)


def bookmark_of(lookup: TableLookup, config: JobConfig) -> Bookmark | None:
    """Return up to where the target holds predictions of an incremental job; None where nothing says so."""
    place = find_place(lookup, config) if config.new_rows is not None else None
    return place.bookmark() if place is not None else None


def remember_seen(job: PreparedJob) -> None:
    """Note up to which version the source of a job brought nothing new."""
    since, version = job.snapshot.since, job.snapshot.version
    if job.start is not None and since is not None and version is not None:
        remember(job.start.runs, since, version)


def lists_of(move: BookmarkMove | None) -> dict[str, bytes]:
    """Return the list of files that a ledger keeps for the next run, by its name; none of a source with versions."""
    match = LISTED.fullmatch(move.to.source_id) if move is not None else None
    return {} if match is None or move is None else {list_name(match[1]): signed(sorted(move.to.files.items()))}


def _bookmark_now(config: JobConfig, ref: ModelRef, runs: Runs) -> Bookmark:
    selection = config.hide([config.source.where, config.source.model_dump(mode="json")["partition_filter"]])
    return Bookmark(
        job=runs.job,
        source_id="",
        source_version=0,
        selection=digest(selection)[:_DIGITS],
        scoring=scoring_digest(config, ref)[:_DIGITS],
        model=f"{ref.name} version {ref.version}",
    )


def _pinned(place: BookmarkPlace, wanted: WantedRows, move: BookmarkMove, *, touched: bool) -> WantedRows | None:
    """The rows of an unfinished run, which goes on; None where it read for another purpose, or another was quicker.

    Args:
        place: Where the bookmark is.
        wanted: What is known of it.
        move: How the run moves it.
        touched: Whether the target holds anything of the run.
    """
    now = wanted.now
    if now is None or (move.to.selection, move.to.scoring) != (now.selection, now.scoring):
        return None
    if wanted.found != move.found and not (wanted.found == move.to and touched):
        return None
    span = place.span(move.since, move.to)
    return replace(wanted, span=span, found=move.found)


def _appended_again(place: BookmarkPlace, config: JobConfig, wanted: WantedRows) -> WantedRows:
    """The rows of a new run that appends; a run that it gives up may have left rows after the bookmark."""
    if config.new_rows is not None and config.new_rows.by:
        return replace(wanted, span=place.span(None))
    return _after_bookmark(place, config, wanted)


def _after_bookmark(place: BookmarkPlace, config: JobConfig, wanted: WantedRows) -> WantedRows:
    found, now, options = wanted.found, wanted.now, config.new_rows
    if now is None or options is None:
        return wanted
    if options.by and (found is None or found.selection != now.selection):
        return replace(wanted, span=place.span(None))
    if found is None:
        return wanted
    if found.selection != now.selection:
        way_out = SCORE_ALL if config.source.files else BY_KEY
        raise TargetError(
            "The target holds predictions of other rows than this job selects: `where` or `partition_filter` changed.",
            details=[f"it holds those of {config.hide(config.source.name)} up to {found.up_to}"],
            next_step=f"give this selection another `name`, with which all its rows are scored; {way_out}",
        )
    if found.scoring == now.scoring:
        return replace(wanted, span=place.span(found))
    before = found.model or "an unknown model"
    changed = f"from {before} to {now.model}" if before != now.model else "in its options, steps or model files"
    if options.on_new_model == "all":
        return replace(wanted, notes=(f"all rows are scored again: the scoring changed {changed}",))
    note = f"the scoring changed {changed}: rows up to {found.up_to} of the source keep their predictions"
    return replace(wanted, span=place.span(found), notes=(note,))


def _id_of(files: Mapping[str, FileMark]) -> str:
    return f"files-{digest(sorted(files.items()))[:_DIGITS]}"
