"""Run a prepared job on Spark, and report what was done."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from spark_infer.core.faults import point
from spark_infer.errors import SparkMustReadError
from spark_infer.job.account import facts_of, report_of
from spark_infer.job.failures import while_running
from spark_infer.job.prepared import PreparedJob, PreparedRows
from spark_infer.job.units.drive import Scored
from spark_infer.job.units.on_spark import SparkUnits
from spark_infer.job.units.run import UnitRun, again, conclude, run_units
from spark_infer.job.units.start import Start, begin
from spark_infer.job.units.unit import WHOLE, Unit
from spark_infer.observe.progress import Progress
from spark_infer.observe.report import Report
from spark_infer.spark.batches import batch_settings
from spark_infer.spark.beside import crossing
from spark_infer.spark.faults import translate
from spark_infer.spark.preflight import check_workers
from spark_infer.spark.ship import ship
from spark_infer.spark.side import Tagged
from spark_infer.spark.stacks import worker_stacks
from spark_infer.spark.tables.frames import read
from spark_infer.spark.tables.merge import MergeDelta, refuse_doubled_keys
from spark_infer.spark.tables.settings import settings
from spark_infer.spark.tables.write import size_notes, stage, write
from spark_infer.spark.tables.write_delta import written_before
from spark_infer.spark.tables.write_parquet import is_staged, refresh
from spark_infer.spark.tracking import tracking
from spark_infer.tables.plan import Written
from spark_infer.tables.publishers.choice import publisher_of
from spark_infer.tables.publishers.work import Publisher, PublishWork, app_of
from spark_infer.tables.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

OnProgress = Callable[[Progress], None]


@while_running()
def run_job(
    spark: SparkSession,
    job: PreparedJob,
    *,
    on_progress: OnProgress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Score what is left and publish it, and report what was done.

    Raises:
        EnvironmentProblem: A worker of a cluster lacks a library; nothing was scored.
        RunError: A worker, a file or the write failed; units that were done before stay done.
    """
    if job.start is not None and (done := again(job.start)) is not None:
        return done
    if job.by_workers:
        check_workers(spark, job.recipe)
    begun = clock()
    ship(spark, job.scoring.store, job.files)
    shipping = {} if job.files.way == "same_node" else {"ship": clock() - begun}
    with worker_stacks(spark):
        report = _whatever_plane(spark, job, on_progress, shipping)
    refresh(spark, job.write)
    return report


def _whatever_plane(
    spark: SparkSession, job: PreparedJob, on_progress: OnProgress | None, shipping: dict[str, float]
) -> Report:
    """Run, on the spark plane where a worker meets a file that only Spark can read."""
    try:
        return _run(spark, job, on_progress, shipping)
    except SparkMustReadError as error:
        if job.fallback is None:
            raise
        if job.start is not None and job.start.found.ledger.done():
            error.next_step = "set plane: spark and --new-run; rows of units that were published stay in the target."
            raise
        logger.warning("%s Spark reads all of it now.", error.what)
        return _run(spark, job.by_spark(error.what), on_progress, shipping)


def _run(spark: SparkSession, job: PreparedJob, on_progress: OnProgress | None, shipping: dict[str, float]) -> Report:
    if job.start is None:
        return _at_once(spark, job, on_progress, shipping)
    publisher = partial(_publisher, spark, job)
    if job.write.keys and job.start.found.plan is None:
        source = read(spark, job.snapshot, job.config.source)
        refuse_doubled_keys(source, job.write.keys, job.snapshot.location.name)
    if job.plane.sink is not None or job.start.units != WHOLE:  # workers write, or have written all of it
        engine = partial(SparkUnits, spark, job, on_progress=on_progress)
        return run_units(job, job.start, engine, publisher=publisher, seconds=shipping)
    if is_staged(job.write):
        staged = partial(_Staged, spark, job, on_progress)
        written = run_units(job, job.start, staged, publisher=publisher, seconds=shipping)
        return replace(written, warnings=(*written.warnings, *size_notes(spark, job.write)))
    return _in_the_ledger(spark, job, job.start, on_progress, shipping)


def _publisher(spark: SparkSession, job: PreparedJob, work: PublishWork) -> Publisher:
    return MergeDelta(spark, work, job.schema) if job.write.merges else publisher_of(work)


class _Staged:
    """Scores a whole run as one unit, which Spark writes as Parquet."""

    def __init__(self, spark: SparkSession, job: PreparedJob, on_progress: OnProgress | None, run: UnitRun) -> None:
        self._spark = spark
        self._job = job
        self._on_progress = on_progress

    def __call__(
        self, units: Sequence[Unit], folder: Storage, session: str, wanted: Callable[[Unit], bool]
    ) -> Generator[Scored]:
        """Score the unit."""
        begin, rows = time.perf_counter(), _rows(self._job)
        write = self._job.write
        to_stage = partial(stage, rows.frame, write.as_staged() if write.merges else write, folder)
        files = _by_spark(self._spark, self._job, self._on_progress, to_stage)
        totals = rows.totals()
        stats = [] if totals is None else [totals.as_task()]
        yield Scored(unit=units[0], files=files, stats=stats, seconds=time.perf_counter() - begin)


def _in_the_ledger(
    spark: SparkSession, job: PreparedJob, start: Start, on_progress: OnProgress | None, shipping: dict[str, float]
) -> Report:
    """Have Spark score and write in one action, which its commit makes one that happens once."""
    goes_on = start.found.plan is not None
    start = begin(start, job.write, job.rows)
    ledger = start.found.ledger
    job = replace(job, run_id=start.run_id, started_at=start.started_at)
    app = app_of(ledger, start.run_id)
    there = (
        written_before(spark, job.write, facts_of(job)) if goes_on and job.write.location.format == "delta" else None
    )
    report = _at_once(spark, job, on_progress, shipping, there=there, txn=(app, 1))
    report = replace(report, run=ledger.name, rows_before=there.rows if there is not None else 0)
    conclude(start, report, {"app": app})
    return report


def _at_once(
    spark: SparkSession,
    job: PreparedJob,
    on_progress: OnProgress | None,
    shipping: dict[str, float],
    *,
    there: Written | None = None,
    txn: tuple[str, int] | None = None,
) -> Report:
    begin, totals = time.perf_counter(), None
    if there is None:
        rows = _rows(job)
        to_write = partial(write, rows.frame, job.write, facts=facts_of(job), txn=txn)
        there = _by_spark(spark, job, on_progress, to_write)
        point("published")
        totals = rows.totals()
    return report_of(job, there, totals, {**shipping, "score_and_write": time.perf_counter() - begin})


def _rows(job: PreparedJob) -> PreparedRows:
    if job.rows_to_write is None:
        raise ValueError("the workers write")
    return job.rows_to_write


def _by_spark(spark: SparkSession, job: PreparedJob, on_progress: OnProgress | None, action: Callable[[], Any]) -> Any:
    """Run an action of Spark, with its progress told and its failure in our words."""
    try:
        with settings(spark, _batch_settings(spark, job)):
            return _in_time(spark, job, partial(_tracked, spark, job, on_progress, action))
    except Exception as error:
        translated = translate(error)
        if translated is None or translated is error:
            raise
        raise translated from error


def _tracked(spark: SparkSession, job: PreparedJob, on_progress: OnProgress | None, action: Callable[[], Any]) -> Any:
    with tracking(spark, _on_tasks(on_progress, job.rows)):
        return action()


def _in_time(spark: SparkSession, job: PreparedJob, action: Callable[[], Any]) -> Any:
    if job.config.deadline_seconds is None:
        return action()
    return Tagged(spark, f"spark_infer-{uuid.uuid4().hex}").call(action, job.deadline.get)


def _batch_settings(spark: SparkSession, job: PreparedJob) -> dict[str, str]:
    if job.plane.name == "direct":
        return {}  # what travels to Python are the numbers of the tasks
    return batch_settings(spark, [job.table.field(name) for name in crossing(job.scoring, job.table)])


def _on_tasks(on_progress: OnProgress | None, rows: int | None) -> Callable[[int, int, float], None] | None:
    if on_progress is None:
        return None
    return lambda done, total, seconds: on_progress(Progress(min(done, total), total, rows, seconds))
