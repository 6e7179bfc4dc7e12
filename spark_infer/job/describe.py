"""Tell what a prepared job would do."""

from __future__ import annotations

from spark_infer.config import JobConfig, PostprocessStep
from spark_infer.core.signature import spelled
from spark_infer.job.plan import Plan, PlannedColumn
from spark_infer.job.planes.choice import Plane
from spark_infer.job.prepared import PreparedJob
from spark_infer.models.requirements import differences, requirements
from spark_infer.observe.report import size
from spark_infer.spark.prepare import Prepared


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
        plane=_plane(job.plane, sparkml=sparkml),
        compiled="" if recipe.parity is None else str(recipe.parity),
        tasks=() if sparkml else job.scoring.stage.told(job.frame.sparkSession),
        warnings=(*job.scoring.stage.warnings(), *_older_libraries(job.scoring), *filter(None, [job.rehearsal])),
    )
    return Plan(**config.hide_environment({name: getattr(plan, name) for name in plan.__dataclass_fields__}))


def _plane(plane: Plane, *, sparkml: bool) -> str:
    if plane.name == "direct":
        tasks = f"in {len(plane.tasks):,} task{'' if len(plane.tasks) == 1 else 's'}, {plane.why}"
        return f"{plane.told()} {tasks}" + ("" if plane.sink else f"; why Spark writes: {plane.writes_why}")
    return f"spark: Spark reads the rows and {'runs the model' if sparkml else 'hands them to Python'}; {plane.why}"


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


def _older_libraries(scoring: Prepared) -> tuple[str, ...]:
    ref = scoring.recipe.ref
    return differences(requirements(ref.mlmodel, scoring.recipe.load.backend), scoring.store.path(ref.digest))
