"""The account of a run: what the target's history says of it, and its report."""

from __future__ import annotations

from dataclasses import fields, replace

from spark_infer.config.partition_values import partitions_named
from spark_infer.core.expect import MANY, unvarying
from spark_infer.core.stats import COUNTS, TaskTotals
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.job.row_count import empty_warnings
from spark_infer.observe.report import Report
from spark_infer.observe.wording import named_values
from spark_infer.tables.plan import Written

SHOWN_COUNTS = tuple(each.name for each in fields(Report) if each.name in COUNTS)
"""The counters of tasks that a report has a field for."""


def facts_of(job: PreparedJob) -> dict[str, str | int | float]:
    """Return what the target's history will say of this run."""
    ref = job.recipe.ref
    facts: dict[str, str | int | float] = {
        "writer": "spark_infer",
        "job": job.config.name,
        "run_id": job.run_id,
        "model_name": ref.name,
        "model_version": ref.version,
        "model_digest": ref.digest,
        "source": job.config.hide(job.config.source.name),
        "started_at": job.started_at.isoformat(),
    }
    if job.recipe.load.artefact is not None:
        facts["compiled_digest"] = job.recipe.load.artefact.digest
    if job.snapshot.version is not None:
        facts["source_version"] = job.snapshot.version
    if job.config.params:
        facts["params"] = ", ".join(named_values(job.config.hide(job.config.shown_params)))
    return facts | mark_of(job)


def mark_of(job: PreparedJob) -> dict[str, str | int]:
    """Return the bookmark that an incremental run leaves, as its commit and its report say it."""
    return {} if job.bookmark is None else job.bookmark.to.to_facts()


def nothing_new(job: PreparedJob) -> Report:
    """Report that the source has no new row; nothing was scored and nothing changed."""
    report = report_of(job, Written(job.write.location, None, 0, 0, 0), None, {})
    return replace(report, nothing_new=True)


def report_of(job: PreparedJob, written: Written, found: TaskTotals | None, seconds: dict[str, float]) -> Report:
    """Report what a run did.

    Args:
        job: The run.
        written: What its write left behind.
        found: What its tasks told; None where nobody kept it.
        seconds: Wall seconds of its steps, besides those of `job`.
    """
    ref, config = job.recipe.ref, job.config
    task_seconds = {} if found is None else found.seconds
    if found is None and not written.rows:
        found = TaskTotals()  # there may have been no task that could keep figures
    totals = found or TaskTotals(rows=written.rows, predicted=written.rows)
    whole = {**job.seconds, **seconds}
    return Report(
        job=config.name,
        run_id=job.run_id,
        model_uri=config.hide(ref.uri),
        model_name=ref.name,
        model_version=ref.version,
        model_digest=ref.digest,
        backend=job.recipe.choice.backend,
        params=config.hide(job.params),
        job_params=config.hide(config.shown_params),
        acceleration=job.acceleration,
        compiled="" if job.recipe.parity is None else str(job.recipe.parity),
        engine=config.engine,
        plane=job.plane.describe(merges=job.write.merges),
        source=config.hide(config.source.name),
        source_version=job.snapshot.version,
        source_since=None if job.snapshot.since is None else job.snapshot.since.source_version,
        quarantined_runs=None if job.again is None else job.again.run_ids,
        partition_filter=config.hide(partitions_named(config.source.partition_filter)),
        where=config.hide(config.source.where),
        target=config.hide(config.target.name),
        target_version=written.version,
        target_versions=() if written.version is None else (written.version,),
        target_columns=job.target_columns,
        mode=config.target.mode,
        partitions=config.hide(partitions_named(config.target.partitions)),
        rows_read=totals.rows,
        rows_scored=written.rows,
        files_written=written.files,
        bytes_written=written.size_bytes,
        started_at=job.started_at,
        seconds={**whole, "total": sum(whole.values())},
        task_seconds=task_seconds,
        workers=totals.workers,
        host_clients=totals.host_clients,
        **{name: getattr(totals, name) for name in SHOWN_COUNTS},
        rows_predicted=totals.predicted if found is not None else None,
        error_classes=totals.error_classes,
        batch_choices=totals.batch_choices,
        rows_quarantined=written.quarantined,
        cache="" if config.cache is None else config.hide(config.cache.name),
        summary="" if config.aggregate is None else config.hide(config.aggregate.name),
        quarantine="" if config.quarantine is None else config.hide(config.quarantine.name),
        warnings=config.hide(tuple(_warnings(job, written, found, totals))),
    )


def _warnings(job: PreparedJob, written: Written, found: TaskTotals | None, totals: TaskTotals) -> list[str]:
    warnings = [*job.warnings, *job.notes, *written.notes]
    is_empty = not (written.rows or written.quarantined or totals.rows)
    if is_empty and job.rows is None and job.config.trigger is None:  # else the plan says so, or it is usual
        warnings += empty_warnings(job.config)
    if found is None and job.by_workers:
        warnings.append("Spark kept no figures of the tasks for this kind of write: loads and task times are unknown")
    if totals.fallbacks:
        warnings.append(
            f"the CPU served where a GPU was asked for: {totals.fallbacks:,} of {totals.loads:,} loads of the model"
        )
    if totals.unaccelerated:
        warnings.append(
            f"{totals.unaccelerated:,} task(s) were scored without acceleration: a faster way answered otherwise than "
            "the model, which the log of the worker describes"
        )
    if totals.cut_batches:
        warnings.append(
            f"batches were cut to {totals.cut_rows // totals.cut_batches:,} rows: out of memory "
            f"({totals.cut_batches:,} batches, {totals.out_of_memory:,} calls of the model failed; score.batch_size "
            "sets how many rows there are in one)"
        )
    for name, missing in unvarying(totals.outputs, totals.rows - totals.bad_rows):
        if totals.rows >= MANY:
            what = "is null or NaN" if missing else "has the same value"
            warnings.append(f"every prediction in column {name!r} {what}; score.expect has bounds that stop such a job")
    if totals.rows != written.rows + written.quarantined:
        warnings.append(
            f"the tasks scored {totals.rows:,} rows and {written.rows:,} were written: tasks that were retried score "
            "their rows again"
        )
    return warnings
