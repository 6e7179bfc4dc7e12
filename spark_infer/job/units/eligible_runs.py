"""The runs of a job whose quarantined rows are missing in its target, and so can be scored again and added to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spark_infer.job.units.fingerprint import Facts, mode_of
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import Runs, plan_in, report_in
from spark_infer.job.units.slices import by_column
from spark_infer.tables.formats import WrittenBefore
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.publishing.work import app_of
from spark_infer.tables.storage import Storage


def eligible_runs(runs: Runs, table: Storage, written: WrittenBefore) -> dict[str, Facts]:
    """Return the finished runs of all slices that the target still stands for: `run_id` to what the run planned.

    Rows of a run that was given up, or that a later run of the job has replaced, are none of the target's: that later
    run has scored them too. Rows of an unfinished run are still its own.

    Args:
        runs: The runs of the job.
        table: The target's folder.
        written: What tells of the runs that wrote into it.

    Raises:
        LedgerError: The account of a run is damaged.
    """
    finished = [
        (plan, report)
        for ledger in runs.of_all_slices()
        if (plan := plan_in(ledger)) is not None and (report := report_in(ledger)) is not None
    ]
    return {
        plan.run_id: plan.facts
        for plan, report in finished
        if not any(_replaces(later, plan) for later, _ in finished) and _is_there(table, written, report)
    }


def _replaces(later: RunPlan, earlier: RunPlan) -> bool:
    """Whether a run has replaced rows of one before it."""
    mode = mode_of(later.facts)
    if later.started_at <= earlier.started_at or not (mode.replaces_table or mode.replaces_partitions):
        return False
    first, second = (by_column(plan.facts["target settings"]["partitions"]) for plan in (earlier, later))
    apart = any(not {*first[column]} & {*second[column]} for column in first.keys() & second.keys())
    return mode.replaces_table or not apart


def was_emptied(table: Storage, written: WrittenBefore, ledger: Ledger, run_id: str) -> bool:
    """Whether a table took the rows of an unfinished run, and has no row any more."""
    paths = [file.path for entry in ledger.all_sealed().values() for file in entry.files]
    return bool(paths) and not written.holds_rows(table, {"app": app_of(ledger, run_id), "some_files": paths})


def _is_there(table: Storage, written: WrittenBefore, report: Mapping[str, Any]) -> bool:
    """Whether the target holds rows of a run; one that had none but bad rows holds as many as it ever did."""
    return not report["rows_scored"] or written.holds_rows(table, report)
