"""Which quarantined rows a job scores again: those of its finished runs, or those that an unfinished run began with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from spark_infer.config import JobConfig
from spark_infer.errors import SourceError, SourceReadError, TargetError, UnfinishedRunError
from spark_infer.job.units.eligible_runs import eligible_runs, was_emptied
from spark_infer.job.units.fingerprint import FILE_DIGITS, FILES, job_key
from spark_infer.job.units.quarantined_rows import RUN, QuarantinedRows, RowsOfRun, ascending, quarantine_table
from spark_infer.job.units.runs import Runs, before_running, plan_in
from spark_infer.job.units.slices import slice_key, slice_of
from spark_infer.tables.check_target import find_target
from spark_infer.tables.formats import WrittenBefore, format_of
from spark_infer.tables.ledger.access import access_of
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.listing import Listing, SourceFile
from spark_infer.tables.locate import locate
from spark_infer.tables.scan.cut import cut
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Scan
from spark_infer.tables.sink.quarantine import OF_PLACE
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup

_MOST_SHOWN = 5


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
def choose_quarantined(lookup: TableLookup, config: JobConfig, *, new_run: bool) -> QuarantinedRows | None:
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
            details=[f"run {ledger.name}, scored by {plan.facts['model']}"],
            next_step="run the same command without --new-run (new_run=True), and with that version of the model: it "
            "does what is left, and reads no row of the source.",
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
        by_run.setdefault(file.values.get(RUN) or "", []).append(file)
    _refuse_runs(there, by_run, eligible, wanted)
    chosen = sorted(run for run in by_run.keys() & eligible.keys() if not wanted or run in wanted)
    left = sum(file.rows or 0 for run, each in by_run.items() if run not in eligible for file in each)
    note = (
        f"{left:,} rows of {there.location.name} stay: they are not of finished runs of this job whose rows the target "
        "still holds"
    )
    return QuarantinedRows(
        runs={run: RowsOfRun(ascending(_read(there, by_run[run])), _digests(eligible[run])) for run in chosen},
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
