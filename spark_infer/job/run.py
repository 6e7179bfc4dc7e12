"""Run a prepared job: one action that scores and writes, and the report of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from spark_infer.core.totals import TaskTotals
from spark_infer.errors import SparkMustReadError
from spark_infer.job.account import facts_of, report_of
from spark_infer.job.planes.direct import write_files
from spark_infer.job.prepared import PreparedJob
from spark_infer.observe.progress import Progress
from spark_infer.observe.report import Report
from spark_infer.spark.batches import batch_settings
from spark_infer.spark.faults import translate
from spark_infer.spark.preflight import check_workers
from spark_infer.spark.ship import ship
from spark_infer.spark.tracking import tracking
from spark_infer.tables.handover import hand_over
from spark_infer.tables.plan import Written
from spark_infer.tables.settings import settings
from spark_infer.tables.sink.spec import SinkSpec, WrittenFile
from spark_infer.tables.write import write

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

OnProgress = Callable[[Progress], None]


def run_job(
    spark: SparkSession,
    job: PreparedJob,
    *,
    on_progress: OnProgress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Score and write in one action, and report what was done.

    Raises:
        EnvironmentProblem: A worker of a cluster lacks a library; nothing was scored.
        RunError: A worker, a file or the write failed; the target is as it was before.
    """
    if job.by_workers:
        check_workers(spark, job.recipe)
    begin = clock()
    ship(spark, job.scoring.store, job.files)
    shipped = clock()
    try:
        written, totals = _write(spark, job, on_progress)
    except SparkMustReadError as error:
        if job.fallback is None:
            raise
        logger.warning("%s Spark reads all of it now.", error.what)
        job = job.by_spark(error.what)
        written, totals = _write(spark, job, on_progress)
    shipping = {} if job.files.way == "same_node" else {"ship": shipped - begin}
    return report_of(job, written, totals, {**shipping, "score_and_write": clock() - shipped})


def _write(spark: SparkSession, job: PreparedJob, on_progress: OnProgress | None) -> tuple[Written, TaskTotals | None]:
    try:
        with tracking(spark, _on_tasks(on_progress, job.rows)):
            if job.plane.sink is not None:
                return _hand_over(spark, job, job.plane.sink)
            rows = job.rows_to_write
            if rows is None:
                raise ValueError("neither the workers nor Spark have rows to write")
            with settings(spark, _batch_settings(spark, job)):
                written = write(rows.frame, job.write, facts=facts_of(job))
            return written, rows.totals()
    except Exception as error:
        translated = translate(error)
        if translated is None or translated is error:
            raise
        raise translated from error


def _hand_over(spark: SparkSession, job: PreparedJob, sink: SinkSpec) -> tuple[Written, TaskTotals]:
    """Have the workers write, then publish their files."""
    totals: list[TaskTotals] = []

    def fill(into: SinkSpec) -> list[WrittenFile]:
        files, found = write_files(spark, job.scoring, job.plane, into)
        totals.append(found)
        return files

    written = hand_over(job.write, sink, fill, schema=job.schema.json(), facts=facts_of(job))
    if job.write.location.format == "parquet":
        spark.catalog.refreshByPath(job.write.location.path or "")
    return written, totals[0]


def _batch_settings(spark: SparkSession, job: PreparedJob) -> dict[str, str]:
    if job.plane.name == "direct":
        return {}  # what travels to Python are the numbers of the tasks
    return batch_settings(spark, [job.table.field(name) for name in job.recipe.read_columns(job.table)])


def _on_tasks(on_progress: OnProgress | None, rows: int | None) -> Callable[[int, int, float], None] | None:
    if on_progress is None:
        return None
    return lambda done, total, seconds: on_progress(Progress(min(done, total), total, rows, seconds))
