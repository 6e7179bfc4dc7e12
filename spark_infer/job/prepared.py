"""A table job made ready: its frames, its recipe, its write; and the plan that tells of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from spark_infer.config import JobConfig, PostprocessStep, ResourceOptions, ScoreOptions
from spark_infer.core.signature import spelled
from spark_infer.job.plan import Plan, PlannedColumn
from spark_infer.models.ref import ModelRef
from spark_infer.models.rehearsal import rehearse
from spark_infer.models.requirements import differences, requirements
from spark_infer.observe.report import size
from spark_infer.spark.frame import scored_frame
from spark_infer.spark.metering import Totals, free_name, metered
from spark_infer.spark.preflight import check_local_python
from spark_infer.spark.prepare import Prepared, open_store, pin, prepare
from spark_infer.spark.resources import plan_stage
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.stamp import stamped
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.read import open_snapshot, read
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.write import plan_write

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_infer.models.backends.spec import LoadedModel


@dataclass(frozen=True, kw_only=True)
class PreparedJob:
    """Everything a run needs, decided; nothing has run.

    Attributes:
        config: The job.
        snapshot: The source, pinned.
        scoring: The recipe, and how the model's files reach the workers.
        frame: What will be written; lazy.
        totals: Reads what scoring cost, after the write.
        write: What the write will do.
        rehearsal: What became of trying the model here, where that is worth a warning.
        started_at: When preparing began, UTC; also the time on every scored row.
        seconds: Wall seconds of `resolve` and `plan`.
    """

    config: JobConfig
    snapshot: Snapshot
    scoring: Prepared
    frame: DataFrame
    totals: Totals
    write: WritePlan
    rehearsal: str | None
    started_at: datetime
    seconds: dict[str, float]


def prepare_job(
    spark: SparkSession,
    config: JobConfig,
    *,
    model: ModelRef | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> PreparedJob:
    """Resolve the model once, pin the source, match the schemas, check the target; start no Spark task.

    Args:
        spark: The session.
        config: The job.
        model: The pinned model, where the caller has resolved it already.
        clock: Seconds that only grow.

    Raises:
        PlanError: Something does not fit; nothing has run and nothing has changed.
    """
    started_at = datetime.now(UTC)
    begin = clock()
    # First of all: what follows may start tasks, which could wait for ever.
    stage = plan_stage(spark, ResourceOptions.model_validate(config.resources.model_dump()))
    store = open_store()
    ref = model or pin(
        config.model.uri, store, tracking_uri=config.model.tracking_uri, registry_uri=config.model.registry_uri
    )
    resolved = clock()
    snapshot = open_snapshot(spark, config.source)
    rows = read(spark, snapshot, config.source)
    scoring = prepare(
        spark,
        ref,
        to_arrow(rows.schema),
        # A plain copy: what the job file took from the environment does not travel to the workers.
        ScoreOptions.model_validate(config.score.model_dump()),
        store=store,
        stage=stage,
        keep=config.target.keep,
        output=config.target.output,
        rows=rows,
    )
    check_local_python(spark, scoring.recipe)
    rehearsal = _rehearsed(scoring)
    scored, totals = _scored(rows, scoring)
    frame = stamped(scored, _stamps(config, ref), at=(config.target.scored_at_column, started_at))
    write = plan_write(spark, config.target, snapshot=snapshot, frame=frame)
    return PreparedJob(
        config=config,
        snapshot=snapshot,
        scoring=scoring,
        frame=frame,
        totals=totals,
        write=write,
        rehearsal=rehearsal,
        started_at=started_at,
        seconds={"resolve": resolved - begin, "plan": clock() - resolved},
    )


def _rehearsed(scoring: Prepared) -> str | None:
    """Load the model here, and try it, unless it is meant for another place."""
    model = scoring.load_here()
    if scoring.sparkml is not None or scoring.stage.resources.gpu:
        return None
    return rehearse(scoring.recipe, cast("LoadedModel", model), scoring.store.path(scoring.recipe.ref.digest))


def _scored(rows: DataFrame, scoring: Prepared) -> tuple[DataFrame, Totals]:
    if scoring.sparkml is not None:  # no Python worker there that could measure
        return scored_frame(rows, scoring), lambda: None
    stats_column = free_name([*rows.columns, *scoring.recipe.outputs.names])
    return metered(scored_frame(rows, scoring, stats_column=stats_column), stats_column)


def _stamps(config: JobConfig, ref: ModelRef) -> dict[str, str]:
    target = config.target
    stamps = {target.model_name_column: ref.name, target.model_version_column: ref.version}
    return {column: value for column, value in stamps.items() if column is not None}


def _older_libraries(scoring: Prepared) -> tuple[str, ...]:
    ref = scoring.recipe.ref
    return differences(requirements(ref.mlmodel, scoring.recipe.load.backend), scoring.store.path(ref.digest))


def plan_of(job: PreparedJob) -> Plan:
    """Tell what a prepared job would do."""
    recipe, snapshot, config = job.scoring.recipe, job.snapshot, job.config
    ref, sparkml = recipe.ref, job.scoring.sparkml is not None
    plan = Plan(
        job=config.name,
        model_uri=ref.uri,
        model_name=ref.name,
        model_version=ref.version,
        model_digest=ref.digest,
        model_bytes=ref.size_bytes,
        backend=f"{recipe.choice.backend} ({recipe.choice.reason}); {job.scoring.load_here().how}",
        model_files=str(job.scoring.files),
        source=config.source.name,
        source_format=snapshot.location.format,
        source_version=snapshot.version,
        source_rows=snapshot.rows,
        partition_filter=tuple(
            f"{column} in {list(values)}" for column, values in config.source.partition_filter.items()
        ),
        where=config.source.where,
        read_columns=recipe.read_columns(job.scoring.table),
        columns=tuple(
            PlannedColumn(column=column.source, model_column=column.target, type=spelled(column.type), cast=column.cast)
            for column in recipe.load.binding.columns
        ),
        steps=_steps(config, recipe.load.methods, bounded=not sparkml),
        outputs={field.name: spelled(field.type) for field in recipe.outputs},
        target=config.target.name,
        target_format=job.write.location.format,
        mode=config.target.mode,
        write=job.write.how,
        plane=f"spark: Spark reads the rows and {'runs the model' if sparkml else 'hands them to Python'}",
        tasks=() if sparkml else job.scoring.stage.told(job.frame.sparkSession),
        warnings=(*job.scoring.stage.warnings(), *_older_libraries(job.scoring), *filter(None, [job.rehearsal])),
    )
    return Plan(**config.hide_environment({name: getattr(plan, name) for name in plan.__dataclass_fields__}))


def _steps(config: JobConfig, methods: tuple[str, ...], *, bounded: bool) -> tuple[str, ...]:
    score = config.score
    bounds = f", at most {score.batch_size:,} rows and {size(score.max_batch_bytes)} at a time" if bounded else ""
    steps = [f"preprocess with {score.preprocess}"] if score.preprocess else []
    steps.append(f"{' and '.join(methods)}{bounds}")
    steps += [f"postprocess: {_told(step)}" for step in score.postprocess]
    return tuple(steps)


def _told(step: PostprocessStep) -> str:
    settings = step.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
    return f"{step.kind} " + ", ".join(f"{name}={value!r}" for name, value in settings.items())
