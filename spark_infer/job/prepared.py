"""A table job made ready: its frames, its recipe, its write; and the plan that tells of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spark_infer.config import JobConfig, PostprocessStep, ScoreOptions
from spark_infer.core.signature import spelled
from spark_infer.job.plan import Plan, PlannedColumn
from spark_infer.models.ref import ModelRef
from spark_infer.observe.report import size
from spark_infer.spark.frame import scored_frame
from spark_infer.spark.metering import Totals, free_name, metered
from spark_infer.spark.prepare import Prepared, open_store, pin, prepare
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.stamp import stamped
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.read import open_snapshot, read
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.write import plan_write

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


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
        started_at: When preparing began, UTC; also the time on every scored row.
        seconds: Wall seconds of `resolve` and `plan`.
    """

    config: JobConfig
    snapshot: Snapshot
    scoring: Prepared
    frame: DataFrame
    totals: Totals
    write: WritePlan
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
        keep=config.target.keep,
        output=config.target.output,
    )
    scoring.load_here()
    stats_column = free_name([*rows.columns, *scoring.recipe.outputs.names])
    measured, totals = metered(scored_frame(rows, scoring, stats_column=stats_column), stats_column)
    frame = stamped(measured, _stamps(config, ref), at=(config.target.scored_at_column, started_at))
    write = plan_write(spark, config.target, snapshot=snapshot, frame=frame)
    return PreparedJob(
        config=config,
        snapshot=snapshot,
        scoring=scoring,
        frame=frame,
        totals=totals,
        write=write,
        started_at=started_at,
        seconds={"resolve": resolved - begin, "plan": clock() - resolved},
    )


def _stamps(config: JobConfig, ref: ModelRef) -> dict[str, str]:
    target = config.target
    stamps = {target.model_name_column: ref.name, target.model_version_column: ref.version}
    return {column: value for column, value in stamps.items() if column is not None}


def plan_of(job: PreparedJob) -> Plan:
    """Tell what a prepared job would do."""
    recipe, snapshot, config = job.scoring.recipe, job.snapshot, job.config
    ref = recipe.ref
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
        steps=_steps(config, recipe.load.methods),
        outputs={field.name: spelled(field.type) for field in recipe.outputs},
        target=config.target.name,
        target_format=job.write.location.format,
        mode=config.target.mode,
        write=job.write.how,
        plane="spark: Spark reads the rows and hands them to Python",
    )
    return Plan(**config.hide_environment({name: getattr(plan, name) for name in plan.__dataclass_fields__}))


def _steps(config: JobConfig, methods: tuple[str, ...]) -> tuple[str, ...]:
    score = config.score
    bounds = f"at most {score.batch_size:,} rows and {size(score.max_batch_bytes)} at a time"
    steps = [f"preprocess with {score.preprocess}"] if score.preprocess else []
    steps.append(f"{' and '.join(methods)}, {bounds}")
    steps += [f"postprocess: {_told(step)}" for step in score.postprocess]
    return tuple(steps)


def _told(step: PostprocessStep) -> str:
    settings = step.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
    return f"{step.kind} " + ", ".join(f"{name}={value!r}" for name, value in settings.items())
