"""Tell what a prepared job would do."""

from __future__ import annotations

from collections.abc import Iterator

from spark_infer.config import JobConfig, PostprocessStep
from spark_infer.config.decode import DecodeOptions
from spark_infer.config.partition_values import partitions_named
from spark_infer.config.trigger import AVAILABLE_NOW
from spark_infer.core.prefetch import choose_prefetch
from spark_infer.core.signature import spelled
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.job.plan import Plan, PlannedColumn
from spark_infer.models.backends.native import uses_gpu
from spark_infer.observe.wording import size
from spark_infer.printable import counted

_STORED_FIRST = (
    "stored first: Spark reads it once and stores its rows as Parquet beside the target, where they take room until "
    "the run is finished, because to read it again after a failure could give other rows; then these are scored"
)


def plan_of(job: PreparedJob) -> Plan:
    """Tell what a prepared job would do."""
    recipe, snapshot, config = job.recipe, job.snapshot, job.config
    ref = recipe.ref
    hide = config.hide  # what a user, a library or a registry wrote passes through it
    return Plan(
        job=config.name,
        model_uri=hide(ref.uri),
        model_name=ref.name,
        model_version=ref.version,
        model_digest=ref.digest,
        model_bytes=ref.size_bytes,
        backend=f"{recipe.choice.backend} ({recipe.choice.reason}); {job.how}",
        params=hide(job.params),
        job_params=hide(config.shown_params),
        row_order=job.rehearsal.row_order,
        model_files=hide(str(job.files)),
        source=hide(config.source.name),
        source_format=snapshot.location.format,
        source_version=snapshot.version,
        source_since=None if snapshot.since is None else snapshot.since.source_version,
        quarantined_runs=None if job.again is None else job.again.run_ids,
        source_rows=snapshot.rows,
        partition_filter=hide(partitions_named(config.source.partition_filter)),
        where=hide(config.source.where),
        read_columns=recipe.read_columns(job.table),
        columns=tuple(
            PlannedColumn(column=column.source, model_column=column.target, type=spelled(column.type), cast=column.cast)
            for column in recipe.load.binding.columns
        ),
        steps=hide(_steps(job)),
        outputs={field.name: spelled(field.type) for field in recipe.outputs},
        target=hide(config.target.name),
        target_format=job.write.location.format,
        target_columns=job.target_columns,
        mode=config.target.mode,
        write=hide(_write(job)),
        plane=_plane(job),
        source_stored=_stored_first(job),
        acceleration=job.acceleration,
        compiled="" if recipe.parity is None else str(recipe.parity),
        units=hide(tuple(_units(job))),
        tasks=tuple(_tasks(job)) if job.by_workers else (),
        warnings=hide((*job.warnings, *filter(None, [job.rehearsal.warning]))),
    )


def _stored_first(job: PreparedJob) -> str:
    files, size_bytes = job.snapshot.files, job.snapshot.size_bytes
    cost = "" if size_bytes is None else f"; it has {counted(files or 0, 'file')} of {size(size_bytes)}"
    return "" if job.source.store is None else f"{_STORED_FIRST}{cost}"


def _tasks(job: PreparedJob) -> Iterator[str]:
    choice = job.hosting
    yield from job.engine.describe_slots(hosted=choice.hosting is not None)
    if choice.hosting is not None or choice.why:
        why = f" ({choice.why})" if choice.why else ""
        yield f"hosting: {'worker' if choice.hosting is None else 'executor'}{why}"
    load, score = job.recipe.load, job.config.score
    asked = job.config.resources
    on_gpu = asked.gpu > 0 and not asked.allow_cpu_fallback and uses_gpu(load.backend)
    prefetch = choose_prefetch(score.prefetch, cpus=load.threads, on_gpu=on_gpu)
    if prefetch.is_on or score.prefetch == "off":
        yield f"prefetch: {'on' if prefetch.is_on else 'off'} ({prefetch.why})"


def _write(job: PreparedJob) -> str:
    if job.nothing_new:
        why = "the source has no row that is new" if job.again is None else "no quarantined row is left"
        return f"nothing, for {why}"
    if job.start is None or job.start.finished is None:
        return "; ".join([job.write.how, *_beside(job)])
    again = ", which would add the rows once more" if job.config.target.write_mode.adds_only else ""
    return f"nothing, for a finished run has written it; --new-run starts a new run{again}"


def _beside(job: PreparedJob) -> Iterator[str]:
    aside, wanted = job.config.quarantine, job.config.aggregate
    if aside is not None:
        yield f"rows that the model fails for go to {aside.name}"
    if job.cache is not None and job.config.cache is not None:
        yield f"new predictions go to {job.config.cache.name} too"
    if wanted is not None and job.summary is not None:
        groups = f"by {', '.join(wanted.by)}" if wanted.by else "of all rows"
        how = job.summary.write.how
        yield f"then a summary {groups} ({', '.join(wanted.columns)}): {how}"


def _units(job: PreparedJob) -> Iterator[str]:
    start = job.start
    if job.config.trigger is not None:
        yield from _stream(job.config)
        return
    if start is None:
        yield "nobody keeps account of this run: the target's folder is Spark's alone to reach, and a rerun starts over"
        return
    found = start.found
    if start.finished is None and job.source.store is not None:
        yield "cut when the rows are stored; what is done is not done again after a failure"
        return
    if start.finished is not None:
        yield f"run {found.ledger.name} has done all of it: a run would do nothing, unless it is a new one (--new-run)"
        return
    count = len(start.units)
    when = "each published when it is done" if job.write.one_by_one and count > 1 else "published when all is done"
    yield f"{count:,} unit{'' if count == 1 else 's'}, {when}; what is done is not done again after a failure"
    if start.follows:
        yield f"run {found.ledger.name} is done by another driver in another way: this command waits and reports it"
    elif found.plan is not None:
        yield f"run {found.ledger.name} is unfinished: {found.done:,} of {count:,} units are done, and it goes on"
    for replaced in found.replaces:
        yield f"run {replaced.name} is unfinished and is given up"


def _stream(config: JobConfig) -> Iterator[str]:
    when = "all that is new, then it ends" if config.trigger == AVAILABLE_NOW else f"looks each {config.trigger}"
    yield f"micro-batches of a stream ({config.trigger}: {when}), each published in one commit, once"
    yield f"checkpoint {config.checkpoint}"
    if config.refresh_model:
        yield "the model URI is resolved again before each of them"


def _plane(job: PreparedJob) -> str:
    plane, merges = job.plane, job.write.merges
    if job.source.store is not None:
        why = f"; {plane.why}" if plane.scan is None else ""
        return f"{plane.describe(merges=merges)}, once the rows are stored{why}"
    if plane.name == "direct":
        tasks = f"in {len(plane.tasks):,} task{'' if len(plane.tasks) == 1 else 's'}, {plane.why}"
        left = f"; {plane.left_out:,} more files hold no row of `where`" if plane.left_out else ""
        why = "" if plane.sink else f"; why Spark writes: {plane.writes_why}"
        return f"{plane.describe(merges=merges)} {tasks}{left}{why}"
    return (
        f"spark: Spark reads the rows and {'hands them to Python' if job.by_workers else 'runs the model'}; {plane.why}"
    )


def _steps(job: PreparedJob) -> tuple[str, ...]:
    score, methods, bounded = job.config.score, job.recipe.load.methods, job.by_workers
    most = "as many rows as each worker measures to be fast (batch_size: auto)" if score.batch_size == "auto" else ""
    bounds = f", {most or f'at most {job.batch_rows:,} rows'} and {size(score.max_batch_bytes)} at a time"
    bounds = bounds if bounded else ""
    steps = [_decoded(score.decode)] if score.decode else []
    steps += [f"preprocess with {score.preprocess}"] if score.preprocess else []
    if bounded and score.deduplicate != "never":
        steps.append(_deduplicated(score.deduplicate, by_row=job.by_row))
    if job.cache is not None:
        steps.append(
            f"look up in the prediction cache, which has {job.cache.rows:,} predictions of this model and options"
        )
    steps.append(f"{' and '.join(methods)}{bounds}")
    steps += [f"postprocess: {_described(step)}" for step in score.postprocess]
    if score.isolation is not None:
        steps.append("the model is in a process of its own, which is started again where it ends")
    if score.on_error == "null":
        steps.append("a row that this fails for has no prediction")
    return tuple(steps)


def _deduplicated(wish: str, *, by_row: bool) -> str:
    if wish == "auto" and not by_row:
        return (
            "deduplicate: every row is predicted, since the model may look at several at a time; always overrules that"
        )
    return "deduplicate: equal rows are predicted once" + (", as long as that saves time" if wish == "auto" else "")


def _decoded(decode: DecodeOptions) -> str:
    how = decode.how
    kind = "images" if decode.image else "sounds"
    where = f"of the files that {how.column} names" if how.root else f"in {how.column}"
    return f"decode {kind} {where}, at most {size(how.row_bytes)} a row"


def _described(step: PostprocessStep) -> str:
    settings = step.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
    return f"{step.kind} " + ", ".join(f"{name}={value!r}" for name, value in settings.items())
