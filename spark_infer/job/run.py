"""Run a prepared job on its engine, and report what was done."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from spark_infer.engines.base import WholeWriter
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.unit import Way
from spark_infer.engines.unit_progress import OnProgress
from spark_infer.errors import RunError, SparkMustReadError
from spark_infer.job.account import facts_of, mark_of, nothing_new, report_of
from spark_infer.job.further_tables import further_notes
from spark_infer.job.row_count import too_few
from spark_infer.job.store_source import after_storing
from spark_infer.job.units.concurrent_drivers import drive_shared, taking_part
from spark_infer.job.units.drive import clean, clean_newest
from spark_infer.job.units.new_rows import remember_seen
from spark_infer.job.units.retries import retried
from spark_infer.job.units.run_units import begun_job, conclude, done_by_others, run_units
from spark_infer.job.units.start import Start, begin
from spark_infer.observe.report import Report
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.plan import Written
from spark_infer.tables.publishing.work import app_of


def run_job(
    job: PreparedJob, *, on_progress: OnProgress | None = None, clock: Callable[[], float] = time.perf_counter
) -> Report:
    """Score what is left and publish it, and report what was done.

    Args:
        job: The job.
        on_progress: Called about twice a second while tasks run, from another thread.
        clock: Seconds that only grow.

    Raises:
        EnvironmentProblem: A worker lacks a library; nothing was scored.
        RunError: A worker, a file or the write failed; units that were done before stay done.
    """
    if job.config.trigger is not None:
        from spark_infer.job.streams.run_stream import run_stream

        return run_stream(job, on_progress=on_progress)
    if job.nothing_new:
        remember_seen(job)
        if job.start is not None:
            clean_newest(job.start.runs)
        return nothing_new(job)
    if job.start is not None and (done := done_by_others(job.start, job.deadline.sleep)) is not None:
        return replace(done, warnings=(*done.warnings, *further_notes(job.summary)))
    engine = job.engine
    if job.source.store is not None and (job.start is None or job.start.found.plan is None):
        with engine.running():
            stored = after_storing(job, clock)
        return run_job(stored, on_progress=on_progress, clock=clock)
    with engine.running(), _stored_rows_named(job):
        seconds = engine.prepare_workers(job)
        try:
            report = _run(job, on_progress, seconds, clock)
        except SparkMustReadError as error:
            report = _run(engine.without_direct(job, error), on_progress, seconds, clock)
        engine.refresh(job.write)
        return report


@contextmanager
def _stored_rows_named(job: PreparedJob) -> Iterator[None]:
    """Say in an error that the rows were stored, and are scored again as they were."""
    try:
        yield
    except RunError as error:
        if job.config.source.stored_at:
            again = "the same command scores the rows that were stored; "
            error.details = (*error.details, f"{again}--new-run (new_run=True) reads a source that was repaired")
        raise


def _run(
    job: PreparedJob,
    on_progress: OnProgress | None,
    seconds: dict[str, float],
    clock: Callable[[], float],
) -> Report:
    start, engine = job.start, job.engine
    publisher = partial(engine.publisher, job)
    # Workers write, or have written all of it in an earlier command.
    if start is not None and (job.plane.sink is not None or start.way is Way.WORKERS):
        score = partial(engine.score_units, job, on_progress=on_progress)
        return run_units(job, start, score, publisher=publisher, seconds=seconds, clock=clock)
    writer = engine.whole_writer(job, on_progress)
    if start is None:
        return write_at_once(writer, job, seconds)
    if writer.stages:
        report = run_units(job, start, writer.stage, publisher=publisher, seconds=seconds, clock=clock)
        return replace(report, warnings=(*report.warnings, *writer.notes()))
    return _in_the_ledger(job, start, on_progress, seconds)


def _in_the_ledger(job: PreparedJob, start: Start, on_progress: OnProgress | None, seconds: dict[str, float]) -> Report:
    """Score and write in one action of the engine's, which its commit makes one that happens once."""
    goes_on = start.found.plan is not None
    start = begin(start, job.write, job.rows)
    if (done := done_by_others(start, job.deadline.sleep)) is not None:
        return done
    goes_on = goes_on or start.run_id != job.run_id
    ledger, job = start.found.ledger, begun_job(job, start)
    writer = job.engine.whole_writer(job, on_progress)
    app, tries = app_of(ledger, start.run_id), itertools.count()
    with taking_part(ledger, uuid.uuid4().hex[:8], job.deadline.sleep) as turns:

        def write() -> Report | Mapping[str, Any]:
            if (finished := turns.wait()) is not None:
                return finished
            there = writer.written_before(facts_of(job)) if next(tries) or goes_on else None
            report = write_at_once(writer, job, seconds, there=there, txn=(app, 1))
            return replace(report, run=ledger.name, rows_before=there.rows if there is not None else 0)

        report = drive_shared(turns, retried(write, job.config.retry, job.deadline.sleep))
        if not isinstance(report, Report):
            clean(start.runs, ledger)
            return Report.again(report)
        conclude(start, report, {"app": app, **mark_of(job), **job.tried})
    return report


def write_at_once(
    writer: WholeWriter,
    job: PreparedJob,
    seconds: dict[str, float],
    *,
    there: Written | None = None,
    txn: tuple[str, int] | None = None,
) -> Report:
    """Score and write a whole job in one action of the engine's, unless that is done.

    Args:
        writer: What does it.
        job: The job.
        seconds: Wall seconds of the steps before.
        there: What an earlier command wrote.
        txn: Application and version that the target takes once.

    Raises:
        RunError: A worker, a file or the write failed.
    """
    begun, totals = time.perf_counter(), None
    if there is None:
        least = job.config.least_rows
        if least and job.rows is None and (rows := writer.count_rows(least)) < least:
            raise too_few(rows, least)
        there, totals = writer.write(facts_of(job), txn)
        this_process().failpoints.reach("published")
    return report_of(job, there, totals, {**seconds, "score_and_write": time.perf_counter() - begun})
