"""Run a prepared job: one action that scores and writes, and the report of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from spark_infer.errors import SparkMustReadError
from spark_infer.job.planes.direct import write_files
from spark_infer.job.prepared import PreparedJob
from spark_infer.observe.progress import Progress
from spark_infer.observe.report import Report
from spark_infer.spark.batches import batch_settings
from spark_infer.spark.faults import translate
from spark_infer.spark.metering import TaskTotals
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
    if job.scoring.sparkml is None:
        check_workers(spark, job.scoring.recipe)
    begin = clock()
    ship(spark, job.scoring.store, job.scoring.files)
    shipped = clock()
    try:
        written, totals = _write(spark, job, on_progress)
    except SparkMustReadError as error:
        if job.fallback is None:
            raise
        logger.warning("%s Spark reads all of it now.", error.what)
        job = job.by_spark(error.what)
        written, totals = _write(spark, job, on_progress)
    shipping = {} if job.scoring.files.way == "same_node" else {"ship": shipped - begin}
    seconds = {**job.seconds, **shipping, "score_and_write": clock() - shipped}
    return _report(job, written, totals, {**seconds, "total": sum(seconds.values())})


def _write(spark: SparkSession, job: PreparedJob, on_progress: OnProgress | None) -> tuple[Written, TaskTotals | None]:
    try:
        with tracking(spark, _on_tasks(on_progress, _known_rows(job))):
            if job.plane.sink is not None:
                return _hand_over(spark, job, job.plane.sink)
            with settings(spark, _batch_settings(spark, job)):
                written = write(job.frame, job.write, facts=_facts(job))
            return written, job.totals()
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

    written = hand_over(job.write, sink, fill, schema=job.frame.schema.json(), facts=_facts(job))
    if job.write.location.format == "parquet":
        spark.catalog.refreshByPath(job.write.location.path or "")
    return written, totals[0]


def _batch_settings(spark: SparkSession, job: PreparedJob) -> dict[str, str]:
    if job.plane.name == "direct":
        return {}  # what travels to Python are the numbers of the tasks
    table = job.scoring.table
    return batch_settings(spark, [table.field(name) for name in job.scoring.recipe.read_columns(table)])


def _known_rows(job: PreparedJob) -> int | None:
    """Rows to score; only a condition on the rows makes them unknown before they are read."""
    return None if job.config.source.where else job.snapshot.rows


def _on_tasks(on_progress: OnProgress | None, rows: int | None) -> Callable[[int, int, float], None] | None:
    if on_progress is None:
        return None
    return lambda done, total, seconds: on_progress(Progress(min(done, total), total, rows, seconds))


def _facts(job: PreparedJob) -> dict[str, str | int | float]:
    """What the target's history will say of this run."""
    ref = job.scoring.recipe.ref
    facts: dict[str, str | int | float] = {
        "writer": "spark_infer",
        "job": job.config.name,
        "run_id": job.run_id,
        "model_name": ref.name,
        "model_version": ref.version,
        "model_digest": ref.digest,
        "source": job.config.hide_environment(job.config.source.name),
        "started_at": job.started_at.isoformat(),
    }
    if job.scoring.recipe.load.artefact is not None:
        facts["compiled_digest"] = job.scoring.recipe.load.artefact.digest
    if job.snapshot.version is not None:
        facts["source_version"] = job.snapshot.version
    return facts


def _report(job: PreparedJob, written: Written, found: TaskTotals | None, seconds: dict[str, float]) -> Report:
    ref, config = job.scoring.recipe.ref, job.config
    warnings = [*job.scoring.stage.warnings(), *job.notes, *written.notes]
    totals = found or TaskTotals.of_rows(written.rows)
    if found is None and job.scoring.sparkml is None:
        warnings.append("Spark kept no figures of the tasks for this kind of write: loads and task times are unknown")
    if totals.fallbacks:
        warnings.append(
            f"the CPU served where a GPU was asked for: {totals.fallbacks:,} of {totals.loads:,} loads of the model"
        )
    if totals.rows != written.rows:
        warnings.append(
            f"the tasks scored {totals.rows:,} rows and {written.rows:,} were written: tasks that were retried score "
            "their rows again"
        )
    return Report(
        job=config.name,
        run_id=job.run_id,
        model_uri=ref.uri,
        model_name=ref.name,
        model_version=ref.version,
        model_digest=ref.digest,
        backend=job.scoring.recipe.choice.backend,
        compiled="" if job.scoring.recipe.parity is None else str(job.scoring.recipe.parity),
        plane=job.plane.told(),
        source=config.hide_environment(config.source.name),
        source_version=job.snapshot.version,
        target=config.hide_environment(config.target.name),
        target_version=written.version,
        mode=config.target.mode,
        rows_read=totals.rows,
        rows_scored=written.rows,
        files_written=written.files,
        bytes_written=written.size_bytes,
        started_at=job.started_at,
        seconds=seconds,
        task_seconds=totals.seconds,
        loads=totals.loads,
        cache_hits=totals.cache_hits,
        workers=totals.workers,
        warnings=tuple(warnings),
    )
