"""What a job reads that scores its quarantined rows again: rows of its source, found by file and position.

A row that succeeds is added to the target, and one that fails again is quarantined again, under the new run. After both
the files leave the quarantine that held the rows before, so that each row is in a table at any moment. The ledger keeps
which rows and files these are, and a run that is killed goes on with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from spark_infer.config import JobConfig, SourceConfig
from spark_infer.errors import SourceError, SourceReadError, TargetError, UnfinishedRunError
from spark_infer.job.units.eligible_runs import eligible_runs, was_emptied
from spark_infer.job.units.fingerprint import FILE_DIGITS, FILES, digest, file_digest, job_key
from spark_infer.job.units.runs import Runs, before_running, plan_in
from spark_infer.job.units.slices import slice_key, slice_of
from spark_infer.tables.bookmark import Span
from spark_infer.tables.check_target import find_target
from spark_infer.tables.formats import WrittenBefore, format_of
from spark_infer.tables.ledger.access import access_of
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.ledger.ledger import LIST, Ledger
from spark_infer.tables.ledger.signed import damaged, facts_in, signed
from spark_infer.tables.listing import Listing, SourceFile
from spark_infer.tables.locate import locate
from spark_infer.tables.location import TableLocation
from spark_infer.tables.scan.cut import cut
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Scan
from spark_infer.tables.sink.quarantine import OF_PLACE, OF_RUN
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup

_LIST = f"{LIST}quarantined.json"
_RUN = OF_RUN.names[0]
_MOST_SHOWN = 5


@dataclass(frozen=True)
class RowsOfRun:
    """The rows that one run has quarantined.

    Attributes:
        rows: File of the source to its rows, ascending.
        digests: Of the files of the source as the run read them; none where it has versions.
    """

    rows: Mapping[str, tuple[int, ...]]
    digests: frozenset[str]

    def finds_in(self, file: SourceFile) -> bool:
        """Whether a file is the one that the run read; versions of a table say that themselves."""
        return not self.digests or file.path not in self.rows or file_digest(file) in self.digests


@dataclass(frozen=True, kw_only=True)
class QuarantinedRows:
    """The rows that are scored again.

    Attributes:
        runs: The runs that quarantined them, by `run_id`.
        files: The files of the quarantine that hold them, and that leave it.
        notes: What the reader of plan and report should know, a sentence each.
    """

    runs: Mapping[str, RowsOfRun] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs that quarantined them."""
        return tuple(self.runs)

    @property
    def span(self) -> Span:
        """Which rows of the source these are; of a file that was written again after any of the runs, none."""
        runs = tuple(self.runs.values())
        picked = _ascending((path, row) for run in runs for path, rows in run.rows.items() for row in rows)
        return Span(picked=picked, reads=lambda file: all(run.finds_in(file) for run in runs))

    @property
    def facts(self) -> dict[str, Any]:
        """What decides which rows these are."""
        return {"run_ids": list(self.run_ids), "files": digest(self.files)}

    def lists(self) -> dict[str, bytes]:
        """What the ledger keeps of them, by its name."""
        runs = {each: {"rows": run.rows, "digests": sorted(run.digests)} for each, run in self.runs.items()}
        return {_LIST: signed({"runs": runs, "files": self.files})}

    @classmethod
    def kept_by(cls, ledger: Ledger) -> QuarantinedRows:
        """Return those that an unfinished run began with.

        Raises:
            LedgerError: The ledger does not have them, or they are damaged.
        """
        where, text = f"{ledger.folder.root}/{_LIST}", ledger.read(_LIST)
        if text is None:
            raise damaged(where)
        kept = facts_in(text, where)
        runs = {
            each: RowsOfRun({path: tuple(rows) for path, rows in run["rows"].items()}, frozenset(run["digests"]))
            for each, run in kept["runs"].items()
        }
        return cls(runs=runs, files=tuple(kept["files"]))

    def refuse_gone(self, lookup: TableLookup, config: JobConfig) -> None:
        """See that no other command has scored them meanwhile; once the run is chosen, which others cannot be any more.

        Raises:
            UnfinishedRunError: One has.
        """
        there = quarantine_table(lookup, config)
        listed = set() if there is None or there.listing is None else {file.path for file in there.listing.files}
        if not listed.issuperset(self.files):
            raise UnfinishedRunError(
                "Another command has changed the quarantine table while this one was planned.",
                next_step="run the same command again: it scores what is left there.",
            )


def scoring_again(config: JobConfig) -> JobConfig:
    """Return what a job does that scores quarantined rows again; any other job as it is.

    The rows met the job's conditions when they were quarantined, and are added to the target whatever the job's mode.
    That they fail again stops nothing.
    """
    if config.again is None:
        return config
    return config.model_copy(
        update={
            "source": config.source.model_copy(update={"where": None, "partition_filter": {}}),
            "target": config.target.model_copy(update={"mode": "append", "partitions": {}, "partition_by": ()}),
            "score": config.score.model_copy(update={"max_bad_rows": None, "max_bad_fraction": 1.0}),
            "incremental": None,
            "min_rows": 0,
            "fail_on_empty": False,
        }
    )


@before_running()
def quarantined_rows(lookup: TableLookup, config: JobConfig, *, new_run: bool) -> QuarantinedRows | None:
    """Find the rows that a job scores again; changes nothing.

    Args:
        lookup: What the engine knows of tables.
        config: The job, from `scoring_again`.
        new_run: Whether the user gives up an unfinished run.

    Returns:
        None for a job that scores its source.

    Raises:
        TargetError: Runs that were asked for have no rows there, or cannot be scored again.
        UnfinishedRunError: An unfinished run has added rows to the target, and cannot be given up.
        LedgerRefusedError: The account of a run is damaged.
    """
    source = None if config.again is None else locate(lookup, config.source)
    if config.again is None or source is None:  # where there is no source, that is the next to be found out
        return None
    location, _ = find_target(lookup, config.target, source.format)
    table, there = location.storage(), quarantine_table(lookup, config)
    if table is None:
        raise TargetError(
            f"This process cannot reach the folder of {location.name}, where the account of its runs is kept.",
            next_step="run where the folder can be reached.",
        )
    runs = Runs.of(table, config.name, job_key(source), slice_key(slice_of(config)), access_of(table, config.target))
    written = format_of(location.format).written
    if (ledger := _unfinished(runs, table, written, new_run=new_run)) is not None:
        note = f"run {ledger.name} goes on, with the quarantined rows that it began with"
        return replace(QuarantinedRows.kept_by(ledger), notes=(note,))
    if there is None:
        return QuarantinedRows()
    return _chosen(there, eligible_runs(runs, table, written), config.again.run_ids)


def quarantine_table(lookup: TableLookup, config: JobConfig) -> Snapshot | None:
    """The quarantine table as it is now; None where there is none."""
    wanted = config.quarantine
    location: TableLocation | None = None if wanted is None else locate(lookup, wanted)
    if wanted is None or location is None:
        return None
    read = SourceConfig(path=wanted.path, table=wanted.table, format=wanted.format)
    return format_of(location.format).source_snapshot(lookup, location, read)


def _unfinished(runs: Runs, table: Storage, written: WrittenBefore, *, new_run: bool) -> Ledger | None:
    """The newest run, where it was begun and has something to go on with; else a new one takes its place."""
    known = runs.all()
    ledger = known[-1][2] if known else None
    plan = None if ledger is None or ledger.closed() or ledger.report() is not None else plan_in(ledger)
    if ledger is None or plan is None:
        return None
    is_there = written.holds_some_of(table, ledger, plan.run_id)
    if is_there and was_emptied(table, written, ledger, plan.run_id):
        if new_run:
            return None
        raise UnfinishedRunError(
            "The target was emptied after an unfinished run had added quarantined rows to it.",
            details=[f"run {ledger.name}; the rows are still in the quarantine table, and stay there"],
            next_step="restore the target and run the same command again; or give the run up with --new-run "
            "(new_run=True).",
        )
    if is_there and new_run:
        raise UnfinishedRunError(
            "An unfinished run has added quarantined rows to the target, and they have not left the quarantine yet.",
            details=[f"run {ledger.name}"],
            next_step="run the same command without --new-run (new_run=True): it does what is left.",
        )
    goes_on = is_there or (not new_run and (ledger.done() or at_work(ledger)))
    return ledger if goes_on else None


def _chosen(there: Snapshot, eligible: Mapping[str, Mapping[str, Any]], wanted: Sequence[str]) -> QuarantinedRows:
    """Choose the rows of a quarantine table.

    Args:
        there: The table.
        eligible: Those runs whose rows can be scored again, by `run_id`, and what they planned.
        wanted: The runs that were asked for; none for all.
    """
    if there.listing is None:
        raise TargetError(
            f"Only Spark can read the quarantine table {there.location.name}.",
            next_step="read it with Spark, and score its rows with `source.where`.",
        )
    by_run: dict[str, list[SourceFile]] = {}
    for file in there.listing.files:
        by_run.setdefault(file.values.get(_RUN) or "", []).append(file)
    _refuse_runs(there, by_run, eligible, wanted)
    chosen = sorted(run for run in by_run.keys() & eligible.keys() if not wanted or run in wanted)
    left = sum(file.rows or 0 for run, each in by_run.items() if run not in eligible for file in each)
    note = (
        f"{left:,} rows of {there.location.name} stay: they are not of finished runs of this job whose rows the target "
        "still holds"
    )
    return QuarantinedRows(
        runs={run: RowsOfRun(_ascending(_read(there, by_run[run])), _digests(eligible[run])) for run in chosen},
        files=tuple(sorted(file.path for run in chosen for file in by_run[run])),
        notes=(note,) if left and not wanted else (),
    )


def _refuse_runs(
    there: Snapshot,
    by_run: Mapping[str, Sequence[SourceFile]],
    eligible: Mapping[str, Any],
    wanted: Sequence[str],
) -> None:
    for run in wanted:
        if run in by_run and run in eligible:
            continue
        why = "is not a finished run of this job whose rows the target still holds" if run in by_run else "has no rows"
        known = sorted(by_run.keys() & eligible.keys())
        more = len(known) - _MOST_SHOWN
        shown = [*known[:_MOST_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
        raise TargetError(
            f"Run {run} {why} in the quarantine table {there.location.name}.",
            details=[f"runs whose rows can be scored again: {', '.join(shown) or 'none'}"],
            next_step="name one of these with --run-id, or leave it out to score the rows of all.",
        )


def _ascending(places: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    """File of the source to its rows, each once."""
    found: dict[str, set[int]] = {}
    for path, row in places:
        found.setdefault(path, set()).add(row)
    return {path: tuple(sorted(found[path])) for path in sorted(found)}


def _read(there: Snapshot, files: Sequence[SourceFile]) -> Iterator[tuple[str, int]]:
    """The file and row of the source that each row of some files of the quarantine names."""
    scan = Scan(uri=there.location.path or "", schema=OF_PLACE)
    try:
        for task in cut(Listing(tuple(files)), 1):
            for batch in read_task(task, scan):
                paths, rows = batch.columns
                if paths.null_count or rows.null_count or (len(rows) and pc.min(rows).as_py() < 0):
                    raise _without_place(there)
                yield from zip(paths.to_pylist(), np.asarray(rows).tolist(), strict=True)
    except SourceReadError as error:
        raise SourceError(error.what, details=error.details, next_step=error.next_step) from error


def _without_place(there: Snapshot) -> SourceError:
    return SourceError(
        f"The quarantine table {there.location.name} has rows whose `source_file` or `source_row` is null or negative: "
        "no row of the source can be found by them.",
        next_step="delete these rows from the quarantine table, or choose other runs with --run-id.",
    )


def _digests(facts: Mapping[str, Any]) -> frozenset[str]:
    text = "" if facts["source version"].startswith("version ") else facts.get(FILES) or ""
    return frozenset(text[at : at + FILE_DIGITS] for at in range(0, len(text), FILE_DIGITS))
