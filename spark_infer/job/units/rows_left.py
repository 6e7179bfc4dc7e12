"""Rows that runs which were given up have left in a target."""

from __future__ import annotations

from collections.abc import Iterator

from pyarrow import ArrowException

from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.errors import LedgerError, WriteError
from spark_infer.job.units.fingerprint import mode_of
from spark_infer.job.units.other_runs import given_up
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import plan_in
from spark_infer.job.units.start import Start
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.publishing.work import PublishWork


def rows_left_behind(job: PreparedJob, start: Start, work: PublishWork) -> Iterator[str]:
    """Tell of rows that runs which were given up had added to the target before, a sentence for each run."""
    if not job.write.mode.adds_only or job.bookmark is not None:
        return
    for older in given_up(start.runs, work.ledger):
        try:
            plan = plan_in(older)
            rows = _rows_left(job, work, older, plan) if plan is not None else 0
        except (LedgerError, WriteError, ArrowException, OSError) as error:  # this run is published all the same
            yield f"what run {older.name} added before it was given up is not known: {error}"
            continue
        if rows:
            yield (
                f"the target also holds {rows:,} rows of run {older.name}, which was given up before: those of them "
                "that this run scored too are there twice"
            )


def _rows_left(job: PreparedJob, work: PublishWork, older: Ledger, plan: RunPlan) -> int:
    """Rows of an unfinished run that the target holds."""
    one_by_one = plan.write["exists"] and mode_of(plan.facts).adds_only
    written = format_of(job.write.location.format).written
    return written.rows_left(work.table, older, plan.run_id, one_by_one=one_by_one)
