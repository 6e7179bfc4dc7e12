"""A table job made ready for Spark: its frames, its recipe, its write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_infer.config import JobConfig, ResourceOptions, ScoreOptions
from spark_infer.core.batching import model_rows
from spark_infer.core.session_settings import setting
from spark_infer.job.decided import Decided, constants, pinned, recipe_warnings, text_stamps
from spark_infer.job.failures import while_planning
from spark_infer.job.planes.choice import Plane, choose_plane, without_direct
from spark_infer.job.planes.direct import direct_frame
from spark_infer.job.planes.writers import with_writers
from spark_infer.job.sample import take_sample
from spark_infer.job.units.agree import Agreed, agree, agree_on_writers
from spark_infer.job.units.deadline import Deadline
from spark_infer.models.backends.native import uses_gpu
from spark_infer.models.backends.spec import Described
from spark_infer.models.files.store import ModelStore
from spark_infer.models.ref import ModelRef
from spark_infer.models.rehearsal import NOT_LOADED, Rehearsal, rehearse
from spark_infer.spark.compiled import with_compiled
from spark_infer.spark.frame import scored_frame, scored_schema
from spark_infer.spark.metering import Totals, free_name, metered
from spark_infer.spark.preflight import check_local_python
from spark_infer.spark.prepare import Prepared, open_store, prepare
from spark_infer.spark.resources import Stage, plan_stage
from spark_infer.spark.schema import to_arrow, unsupported
from spark_infer.spark.stamp import stamped, stamped_schema
from spark_infer.spark.tables.frames import read
from spark_infer.spark.tables.settings import SessionConf
from spark_infer.spark.tables.spark_tables import SparkTables
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import open_snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


@dataclass(frozen=True, kw_only=True)
class PreparedRows:
    """What will be written, lazy, and the reader of what scoring it cost; good for one action."""

    frame: DataFrame
    totals: Totals


@dataclass(frozen=True, kw_only=True)
class PreparedJob(Decided):
    """Everything a run on Spark needs, decided; nothing has run.

    Attributes:
        scoring: The recipe, and how the model's files and its tasks reach the workers.
        rows_to_write: What Spark will write; None where the workers write.
        fallback: Makes the rows by way of the spark plane, should a file prove to be Spark's alone to read.
    """

    scoring: Prepared
    rows_to_write: PreparedRows | None
    fallback: Callable[[], PreparedRows] | None

    def by_spark(self, why: str) -> PreparedJob:
        """Return the same job on the spark plane, after a file proved to be Spark's alone to read."""
        if self.fallback is None:
            raise ValueError("there is nothing to fall back to")
        return replace(
            self,
            plane=without_direct(self.plane, why),
            start=None if self.start is None else self.start.anew().whole(),
            rows_to_write=self.fallback(),
            fallback=None,
            notes=(*self.notes, f"the run began anew on the spark plane: {why}"),
        )


@while_planning()
def prepare_job(
    spark: SparkSession,
    config: JobConfig,
    *,
    model: ModelRef | None = None,
    new_run: bool = False,
    loads: bool = True,
    deadline: Deadline | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> PreparedJob:
    """Resolve the model once, pin the source, match the schemas, check the target; start no Spark task.

    Args:
        spark: The session.
        config: The job.
        model: The pinned model, where the caller has resolved it already.
        new_run: Whether to begin a new run whatever was done before.
        loads: Whether the model may be loaded here, which runs its author's code; without it the job cannot run.
        deadline: When all must be done; by default after the job's ``deadline_seconds`` from now.
        clock: Seconds that only grow.

    Raises:
        PlanError: Something does not fit; nothing has run and nothing has changed.
    """
    now, begin = datetime.now(UTC), clock()
    deadline = deadline or Deadline(config.deadline_seconds)
    # First of all: what follows may start tasks, which could wait for ever.
    stage = plan_stage(spark, ResourceOptions.model_validate(config.resources.model_dump()))
    store = open_store()
    ref = model or pinned(config, store)
    resolved = clock()
    snapshot = open_snapshot(SparkTables(spark), config.source)
    rows = read(spark, snapshot, config.source)
    scoring, plane, rehearsal = _scoring(spark, config, ref, snapshot, rows, store=store, stage=stage, loads=loads)
    served = scoring.load_here()
    # The driver has it on the CPU, which says nothing of a GPU.
    elsewhere = stage.resources.gpu and uses_gpu(scoring.recipe.load.backend)
    batch_rows = model_rows(config.score.batch_size, None if elsewhere else served)
    plane = plane.in_batches_of(batch_rows, config.score.max_batch_bytes)
    first = _prepared_rows(rows, scoring, plane, config, now) if plane.name == "spark" else None
    schema = _target_schema(rows, scoring, config) if first is None else first.frame.schema
    agreed, plane = agree_on_writers(
        lambda anew: agree(
            SparkTables(spark),
            config,
            scoring.recipe,
            snapshot,
            plane.tasks,
            slots=stage.slots(spark) or 1,
            source_schema=rows.schema.json(),
            schema=schema,
            now=now,
            new_run=anew,
        ),
        partial(_with_writers, spark, config, ref, plane, schema),
        new_run=new_run,
    )
    by_spark = partial(_prepared_rows, rows, scoring, without_direct(plane, plane.why), config, agreed.started_at)
    chosen = first
    if first is not None and agreed.started_at != now:
        chosen = by_spark()
    elif first is None and plane.sink is None:
        chosen = _prepared_rows(rows, scoring, plane, config, agreed.started_at)
    return PreparedJob(
        config=config,
        run_id=agreed.run_id,
        snapshot=snapshot,
        recipe=scoring.recipe,
        table=scoring.table,
        how=served.how,
        by_row=getattr(served, "by_row", False),
        batch_rows=batch_rows,
        files=scoring.files,
        folder=store.path(ref.digest),
        plane=plane,
        schema=schema,
        write=agreed.write,
        start=agreed.start,
        rehearsal=rehearsal,
        told=partial(stage.told, spark),
        warnings=(*stage.warnings(), *recipe_warnings(scoring.recipe, store), *agreed.warnings),
        started_at=agreed.started_at,
        seconds={"resolve": resolved - begin, "plan": clock() - resolved},
        deadline=deadline,
        scoring=scoring,
        rows_to_write=chosen,
        fallback=by_spark if plane.name == "direct" and config.plane == "auto" else None,
    )


def _scoring(
    spark: SparkSession,
    config: JobConfig,
    ref: ModelRef,
    snapshot: Snapshot,
    rows: DataFrame,
    *,
    store: ModelStore,
    stage: Stage,
    loads: bool,
) -> tuple[Prepared, Plane, Rehearsal]:
    """Match the model and the table, choose who reads it, and compile the model where that is asked for.

    Returns:
        How rows are scored, the plane, and what became of trying the model here.
    """
    scoring = prepare(
        spark,
        ref,
        _table(rows, snapshot),
        # A plain copy: what the job file took from the environment does not travel to the workers.
        ScoreOptions.model_validate(config.score.model_dump()),
        store=store,
        stage=stage,
        keep=config.target.keep,
        output=config.target.output,
        rows=rows,
        loads=loads,
    )
    check_local_python(spark, scoring.recipe)
    rehearsal = _rehearsed(scoring, scoring.load_here())
    plane = choose_plane(
        partial(setting, spark),
        config,
        snapshot,
        table=scoring.table,
        columns=scoring.recipe.read_columns(scoring.table),
        schema=json.loads(rows.schema.json()),
        slots=stage.slots(spark),
        sparkml=scoring.sparkml is not None,
    )
    if not loads:
        return scoring, plane, rehearsal
    return with_compiled(spark, scoring, partial(take_sample, rows, scoring, plane)), plane, rehearsal


def _table(rows: DataFrame, snapshot: Snapshot) -> pa.Schema:
    """All columns of the source: those that Spark reads, then those that it refuses, which are errors where needed."""
    refused = [
        unsupported(name, f"{kind} in the files, which Spark does not read") for name, kind in snapshot.refused.items()
    ]
    return pa.schema([*to_arrow(rows.schema), *refused])


def _target_schema(rows: DataFrame, scoring: Prepared, config: JobConfig) -> StructType:
    """The columns that the target will have; Spark need not analyse a frame for that."""
    stamps = text_stamps(config, scoring.recipe.ref)
    return stamped_schema(scored_schema(rows.schema, scoring.recipe), stamps, at=config.target.scored_at_column)


def _with_writers(
    spark: SparkSession, config: JobConfig, ref: ModelRef, plane: Plane, schema: StructType, agreed: Agreed
) -> Plane:
    if plane.name != "direct":
        return plane
    return with_writers(
        plane,
        agreed.write,
        columns=to_arrow(schema),
        schema=schema.json(),
        constants=constants(config, ref, agreed.started_at),
        conf=SessionConf(spark),
        run_id=agreed.run_id,
    )


def _rehearsed(scoring: Prepared, loaded: Described) -> Rehearsal:
    """Try the model here, unless it is meant for another place, or not to be loaded."""
    if not scoring.loads:
        return NOT_LOADED
    if scoring.sparkml is not None or scoring.stage.resources.gpu:
        return Rehearsal()
    return rehearse(scoring.recipe, loaded, scoring.store.path(scoring.recipe.ref.digest))  # type: ignore[arg-type]


def _prepared_rows(
    rows: DataFrame, scoring: Prepared, plane: Plane, config: JobConfig, started_at: datetime
) -> PreparedRows:
    scored, totals = _scored(rows, scoring, plane)
    return PreparedRows(frame=_stamped(scored, config, scoring.recipe.ref, started_at), totals=totals)


def _stamped(scored: DataFrame, config: JobConfig, ref: ModelRef, started_at: datetime) -> DataFrame:
    column = config.target.scored_at_column
    return stamped(scored, text_stamps(config, ref), at=(column, started_at) if column else None)


def _scored(rows: DataFrame, scoring: Prepared, plane: Plane) -> tuple[DataFrame, Totals]:
    if scoring.sparkml is not None:  # no Python worker there that could measure
        return scored_frame(rows, scoring), lambda: None
    stats_column = free_name([*rows.columns, *scoring.recipe.outputs.names])
    if plane.name == "direct":
        return metered(direct_frame(rows, scoring, plane, stats_column=stats_column), stats_column)
    return metered(scored_frame(rows, scoring, stats_column=stats_column), stats_column)
