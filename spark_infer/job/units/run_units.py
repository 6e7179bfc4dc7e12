"""Run the units of a prepared job on some engine, and report what was done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from spark_infer.core.stats import TaskTotals
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.unit import Way
from spark_infer.engines.unit_run import Score, Scored, UnitRun
from spark_infer.errors import TooFewRowsError, UnfinishedRunError, WriteError
from spark_infer.job.account import facts_of, mark_of, report_of
from spark_infer.job.cache_plan import cache_spec, with_cache
from spark_infer.job.quarantine_plan import quarantine_sink
from spark_infer.job.summary_plan import part_spec, with_summary
from spark_infer.job.units.concurrent_drivers import drive_shared, follow, taking_part
from spark_infer.job.units.drive import Check, Outcome, clean, drive
from spark_infer.job.units.quarantined_rows import quarantine_table
from spark_infer.job.units.retries import retried
from spark_infer.job.units.row_limits import RowLimits
from spark_infer.job.units.rows_left import rows_left_behind
from spark_infer.job.units.start import Start, begin
from spark_infer.job.units.stopped import how_far
from spark_infer.models.stamps import constants
from spark_infer.observe.report import Report
from spark_infer.runtime.process_state import this_process
from spark_infer.runtime.stop_signals import say_how_far
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.check import check_files
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.plan import Written
from spark_infer.tables.publishing.with_quarantine import ThenRemoved, WithQuarantine
from spark_infer.tables.publishing.work import Publisher, PublishWork, all_files
from spark_infer.tables.sink.sink_spec import QuarantineSpec, SinkSpec
from spark_infer.tables.storage import Storage

_SOME_FILES = 10_000


def run_units(
    job: PreparedJob,
    start: Start,
    scorer: Callable[[UnitRun], Score],
    *,
    publisher: Callable[[PublishWork], Publisher],
    seconds: Mapping[str, float] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Do what is left of a run, and report all of it.

    Args:
        job: The job.
        start: Its run.
        scorer: Makes what scores the units of a run that was begun.
        publisher: Makes its publisher.
        seconds: Wall seconds of what was done before, for the report.
        clock: Seconds that only grow.

    Raises:
        RunError: A unit failed, or could not be published; units that were done before stay done.
    """
    begun, table = clock(), job.write.location.storage()
    if table is None:
        raise WriteError(f"This process cannot reach {job.write.location.name}.", next_step="write a Delta table.")
    start = begin(start, job.write, job.rows)
    if (done := done_by_others(start, job.deadline.sleep)) is not None:
        return done
    ledger = start.found.ledger
    job = begun_job(job, start)
    sink = _sink(job, start)
    work = PublishWork(
        plan=job.write,
        table=table,
        sink=sink,
        schema=job.schema,
        facts=facts_of(job),
        ledger=ledger,
        session=uuid.uuid4().hex[:8],
        bookmark=job.bookmark,
    )
    with taking_part(ledger, work.session, job.deadline.sleep) as turns:

        def do_the_rest() -> Outcome | Mapping[str, Any]:
            return drive(
                ledger,
                start.units,
                with_summary(job, work, with_cache(job, work, _publisher(job, work, publisher(work)))),
                folder=work.folder,
                score=scorer(UnitRun(spec=sink, tasks=start.tasks, units=len(start.units))),
                check=_check(job, start, exact=_reads_all(job, start)),
                session=work.session,
                turn=turns.wait,
                begins=job.deadline.begins,
                least_rows=job.config.least_rows,
            )

        try:
            outcome = drive_shared(turns, retried(do_the_rest, job.config.retry, job.deadline.sleep))
        except KeyboardInterrupt as stopped:
            say_how_far(stopped, how_far(ledger.done(), len(start.units), one_by_one=job.write.one_by_one))
            raise
        except TooFewRowsError:
            ledger.close(b"{}")  # nothing of it is published, and the next command begins again
            raise
        whole = {**(seconds or {}), "score_and_write": clock() - begun}
        return _concluded(job, start, work, outcome, whole)


def _concluded(
    job: PreparedJob,
    start: Start,
    work: PublishWork,
    outcome: Outcome | Mapping[str, Any],
    seconds: dict[str, float],
) -> Report:
    """Report a run, and say in the ledger that it is finished where no other driver has done so."""
    if not isinstance(outcome, Outcome):
        clean(start.runs, work.ledger)
        return Report.again(outcome)
    if outcome.report is not None:
        clean(start.runs, work.ledger)
        return _with_own_counts(Report.again(outcome.report), outcome)
    report = _report(job, start, outcome, work, seconds)
    conclude(start, report, {**_marks(work, outcome), **mark_of(job), **job.tried})
    return report


def begun_job(job: PreparedJob, start: Start) -> PreparedJob:
    """The job as its run was begun, perhaps a moment ago by another driver, which may have found no target yet."""
    write = start.write(job.write.location, job.config) or job.write
    write = replace(write, at_once=job.write.at_once, comments=job.write.comments)
    return replace(job, run_id=start.run_id, started_at=start.started_at, write=write)


def done_by_others(start: Start, sleep: Callable[[float], None]) -> Report | None:
    """The report of a run that is finished, or that another driver finishes in a way that cannot be shared.

    Args:
        start: The run.
        sleep: Waits some seconds for the other driver.

    Returns:
        The report, after a look at what the run may have left behind; None where there is something to do.

    Raises:
        UnfinishedRunError: The other driver ended without finishing the run.
    """
    report, ledger = start.finished, start.found.ledger
    if report is None and not start.follows:
        return None
    report = report or follow(ledger, sleep)
    if report is None:
        raise UnfinishedRunError(
            f"This command waited for another driver of the run {ledger.name}, which ended without finishing it.",
            next_step="run the same command again: it goes on where that can be, and explains where it cannot.",
        )
    clean(start.runs, ledger)
    again = Report.again(report)
    return replace(again, warnings=(*again.warnings, *filter(None, [start.found.note])))


def conclude(start: Start, report: Report, marks: Mapping[str, Any]) -> None:
    """Say in the ledger that a run is finished, and remove what it needs no more.

    Args:
        start: The run.
        report: What it did.
        marks: What a later command recognises its rows by in the target.
    """
    this_process().failpoints.reach("report")
    start.found.ledger.finish(stamped({**report.to_dict(), **marks}))
    clean(start.runs, start.found.ledger)


def _publisher(job: PreparedJob, work: PublishWork, target: Publisher) -> Publisher:
    """The publisher of a run; of the quarantined rows too, where there is a table for them."""
    plan, sink = job.quarantine, None if work.sink is None else work.sink.quarantine
    table = None if plan is None else plan.write.location.storage()
    if plan is None or sink is None or table is None:
        return target
    aside = replace(
        work,
        plan=replace(plan.write, exists=True),
        table=table,
        sink=sink.sink,
        schema=plan.schema,
        bookmark=None,
    )
    table_format = format_of(plan.write.location.format)
    table_format.make_empty(aside)
    both = WithQuarantine(target, table_format.publisher(aside))
    again = job.again
    if again is None:
        return both

    def remove() -> None:
        there = quarantine_table(job.engine.tables, job.config)
        table_format.remove_files(aside, again.leaving(there))

    return ThenRemoved(both, remove)


def _check(job: PreparedJob, start: Start, *, exact: bool) -> Check:
    """What looks at each unit before it is sealed."""
    limits = _limits(job, start)

    def check(folder: Storage, scored: Scored) -> None:
        if limits is not None:
            limits.admit(scored)
        check_unit(folder, scored, exact=exact)

    return check


def _reads_all(job: PreparedJob, start: Start) -> bool:
    """Whether all rows of a unit's files are to be scored, as they were counted when it was planned."""
    if start.way is Way.SPARK or job.config.source.condition is not None:
        return False
    return start.way is not Way.SPARK_BY_PARTITIONS or job.snapshot.version is not None


def check_unit(folder: Storage, scored: Scored, *, exact: bool) -> None:
    """See that each row that was read is in a file: with a prediction, or quarantined.

    Args:
        folder: Where the files are.
        scored: The unit.
        exact: Whether all rows of the unit's files were to be read.

    Raises:
        WriteError: A file is missing or damaged, or rows are.
    """
    aside = [file for file in scored.files if file.aside]
    rows = scored.unit.rows if exact else None
    left = None if rows is None else rows - sum(file.rows for file in aside)
    check_files(folder, [file for file in scored.files if not file.is_scored], rows=None)
    check_files(folder, [file for file in scored.files if file.is_scored], rows=left)


def _limits(job: PreparedJob, start: Start) -> RowLimits | None:
    options = job.config.score
    if options.on_error == "fail" and not options.expect:
        return None
    return RowLimits(options, start.found.ledger, len(start.units))


def _sink(job: PreparedJob, start: Start) -> SinkSpec | None:
    if job.plane.sink is None:
        return None
    aside, parts, values = None, None, constants(job.config, job.recipe.ref, job.started_at)
    units = tuple(unit.ordinal for unit in start.units for _ in unit.tasks)
    if job.quarantine is not None:
        sink = quarantine_sink(job.quarantine, job.recipe.ref, job.run_id, job.started_at)
        aside = QuarantineSpec(sink=replace(sink, units=units), columns=job.quarantine.columns, run_id=job.run_id)
    if job.summary is not None:
        parts = part_spec(job.summary, job.run_id, units)
    cache = None if job.cache is None else cache_spec(job.cache, job.recipe, job.run_id, job.started_at)
    sink = replace(job.plane.sink, run_id=job.run_id, constants=values, units=units)
    return replace(sink, quarantine=aside, parts=parts, cache=cache)


def _report(job: PreparedJob, start: Start, outcome: Outcome, work: PublishWork, seconds: dict[str, float]) -> Report:
    files, own = all_files(outcome.entries), outcome.ended.written
    written = Written(
        location=job.write.location,
        version=max(outcome.versions, default=None),
        rows=sum(file.rows for file in files),
        files=len(files) if own is None else own.files,
        size_bytes=sum(file.size for file in files) if own is None else own.size_bytes,
        notes=outcome.ended.notes,
        quarantined=sum(file.rows for entry in outcome.entries for file in entry.quarantined),
    )
    stats = [each for entry in outcome.entries for each in entry.stats]
    report = report_of(job, written, TaskTotals.of_tasks(stats) if stats else None, seconds)
    return replace(
        report,
        warnings=(*report.warnings, *rows_left_behind(job, start, work)),
        target_versions=tuple(outcome.versions),
        rows_replaced=outcome.ended.replaced,
        rows_added=outcome.ended.added,
        rows_removed=outcome.ended.removed,
        run=work.ledger.name,
        units=len(start.units),
        units_before=outcome.done_before,
        rows_before=outcome.rows_before,
        units_elsewhere=outcome.done_elsewhere,
        summary_rows=0 if job.summary is None else work.ledger.of_summary().sealed(0).rows,
    )


def _with_own_counts(report: Report, outcome: Outcome) -> Report:
    """The report of a run that another driver has published, with what this command did of its units."""
    return replace(
        report,
        already_done=outcome.done_before + outcome.done_elsewhere == len(outcome.entries),
        units_before=outcome.done_before,
        rows_before=outcome.rows_before,
        units_elsewhere=outcome.done_elsewhere,
    )


def _marks(work: PublishWork, outcome: Outcome) -> Mapping[str, Any]:
    """What a later command recognises the run's rows by in the target."""
    if outcome.ended.written is not None:
        return {"app": work.app}
    paths = [file.path for file in all_files(outcome.entries)]
    in_table = format_of(work.plan.location.format).written.contents(work.table)
    return {"app": work.app, "some_files": paths[:_SOME_FILES], "in_table": in_table}
