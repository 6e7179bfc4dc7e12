"""Tune a job: take a sample of its table, measure, and say which settings are best."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.engines.base import Engine
from spark_infer.errors import PlanError
from spark_infer.job.prepare import match_job
from spark_infer.job.tune.batch import batch_sizes
from spark_infer.job.tune.jobs import cores_for_each_task, planes
from spark_infer.job.tune.sample_table import some_rows, write_sample
from spark_infer.job.tune.tuning import Measured, Tuning, best_of
from spark_infer.models.ref import ModelRef
from spark_infer.runtime.local_resources import find_local_resources

SAMPLE_ROWS = 100_000


def tune(
    engine: Engine[Any],
    config: JobConfig,
    *,
    model: ModelRef | None = None,
    sample_rows: int = SAMPLE_ROWS,
) -> Tuning:
    """Measure batch sizes, cores for each task and planes on a sample of the job's own table.

    Takes about a minute; scores the sample some forty times on this machine, and writes to a temporary folder alone.

    Args:
        engine: The job's engine.
        config: The job.
        model: The pinned model, where the caller has resolved it already.
        sample_rows: How many rows to measure; they are taken from all over the table.

    Raises:
        PlanError: The job cannot run as it stands, or has no rows, or only Spark can read its table or run its model.
        RunError: Scoring the sample failed.
    """
    job = match_job(engine, config, model=model)
    if job.plane.scan is None:
        raise PlanError(
            "Tuning measures what workers read themselves, and this job is on the spark plane.",
            details=[job.plane.why],
            next_step="take out what sends it there, tune, and put it back; batch sizes hold for both planes.",
        )
    rows = some_rows(job.plane.scan, job.plane.tasks, sample_rows)
    if not rows.num_rows:
        raise PlanError(f"{job.snapshot.location.name} has no rows to measure.")
    here, ref = find_local_resources(config.resources.model_copy(update={"gpu": 0, "cpus": None})), job.recipe.ref
    notes = ["GPUs were not measured"] if config.resources.gpu else []
    measured = batch_sizes(job.recipe, rows, job.folder, today=job.batch_rows)
    best = {"score.batch_size": best_of(_small_first(measured), today=measured[0].value)}
    with tempfile.TemporaryDirectory(prefix="spark_infer-tune-") as folder:
        sample = Path(folder) / "sample"
        write_sample(rows, sample, 4 * here.cores)
        if here.cores > 1:
            by_cores = cores_for_each_task(config, ref, sample, here.cores)
            measured += by_cores
            best["resources.cpus"] = best_of(by_cores, today=str(config.resources.cpus or 1))
        if len(engine.planes) > 1 and engine.workers_are_here():
            by_plane = planes(engine, config, ref, sample)
            measured += by_plane
            best["plane"] = best_of(by_plane, today=config.plane)
        elif len(engine.planes) > 1:
            notes.append("planes were not measured: the workers are on other machines, and the sample is on this one")
    return Tuning(
        job=config.name,
        sample_rows=rows.num_rows,
        source_rows=job.rows,
        cores=here.cores,
        measured=tuple(measured),
        best={key: value for key, value in best.items() if value is not None},
        notes=tuple(notes),
    )


def _small_first(measured: list[Measured]) -> list[Measured]:
    """By size: of sizes that are equally fast, the smallest holds the least memory."""
    return sorted(measured, key=lambda each: int(each.value))
