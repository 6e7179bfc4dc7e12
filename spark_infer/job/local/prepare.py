"""A table job made ready for engine `local`: decided as for Spark; what only Spark can do is refused."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_infer.config import JobConfig, ResourceOptions, ScoreOptions
from spark_infer.core.batching import model_rows
from spark_infer.core.here import Here, find_here
from spark_infer.errors import PlanError, SourceError
from spark_infer.job.decided import Decided, constants, pinned, recipe_warnings, text_stamps
from spark_infer.job.planes.choice import Plane, choose_plane
from spark_infer.job.planes.writers import with_writers
from spark_infer.job.sample import from_files
from spark_infer.job.units.agree import Agreed, agree, agree_on_writers
from spark_infer.job.units.deadline import Deadline
from spark_infer.models.backends.choice import SPARK
from spark_infer.models.backends.spec import LoadedModel, LoadSpec, NotLoaded
from spark_infer.models.compile.gate import compile_recipe
from spark_infer.models.files.store import ModelStore
from spark_infer.models.files.travel import decide
from spark_infer.models.pins import warn_once
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.rehearsal import NOT_LOADED, Rehearsal, rehearse
from spark_infer.models.requirements import refuse_unmet, requirements
from spark_infer.spark.ddl import parse_ddl
from spark_infer.spark.frame import scored_schema
from spark_infer.spark.prepare import load_here, open_store
from spark_infer.spark.schema import (
    refuse_case_twins,
    refuse_unsupported,
    result_schema,
    struct_from_json,
    to_arrow,
)
from spark_infer.spark.stamp import stamped_schema
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import open_snapshot
from spark_infer.tables.where.sql import OnlySpark, UnknownColumn, condition

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

Load = Callable[[LoadSpec], LoadedModel | NotLoaded]

_LARGE_BYTES = 16 * 2**30
_NEXT_STEP = "set engine: spark."


@dataclass(frozen=True, kw_only=True)
class LocalJob(Decided):
    """Everything a run on this machine needs, decided; nothing has run."""

    here: Here


def prepare_local(
    config: JobConfig,
    *,
    model: ModelRef | None = None,
    new_run: bool = False,
    loads: bool = True,
    deadline: Deadline | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> LocalJob:
    """Resolve the model once, pin the source, match the schemas, check the target; start no process.

    Args:
        config: The job.
        model: The pinned model, where the caller has resolved it already.
        new_run: Whether to begin a new run whatever was done before.
        loads: Whether the model may be loaded here, which runs its author's code; without it the job cannot run.
        deadline: When all must be done; by default after the job's ``deadline_seconds`` from now.
        clock: Seconds that only grow.

    Raises:
        PlanError: Something does not fit, or only Spark can do it; nothing has run and nothing has changed.
    """
    now, begin = datetime.now(UTC), clock()
    deadline = deadline or Deadline(config.deadline_seconds)
    here = find_here(ResourceOptions.model_validate(config.resources.model_dump()))
    store = open_store()
    ref = model or pinned(config, store)
    resolved = clock()
    snapshot = open_snapshot(LocalTables(), config.source)
    source = schema_of(snapshot)
    table = to_arrow(struct_from_json(source))
    load = _loader(config, ref, store) if loads else _no_loader
    recipe, plane, rehearsal = _scoring(config, ref, snapshot, table, source, store=store, here=here, load=load)
    served = load(recipe.load)
    rows = model_rows(recipe.options.batch_size, served)
    plane = plane.in_batches_of(rows, recipe.options.max_batch_bytes)
    schema = stamped_schema(
        scored_schema(struct_from_json(source), recipe), text_stamps(config, ref), at=config.target.scored_at_column
    )
    agreed, plane = agree_on_writers(
        lambda anew: agree(
            LocalTables(),
            config,
            recipe,
            snapshot,
            plane.tasks,
            slots=here.processes,
            source_schema=source,
            schema=schema,
            now=now,
            new_run=anew,
        ),
        partial(_written_by_workers, config, ref, plane, schema),
        new_run=new_run,
    )
    artefact = recipe.load.artefact
    return LocalJob(
        config=config,
        run_id=agreed.run_id,
        snapshot=snapshot,
        recipe=recipe,
        table=table,
        how=served.how,
        by_row=getattr(served, "by_row", False),
        batch_rows=rows,
        files=decide("auto", artefact.digest if artefact else ref.digest, store, workers_here=True),
        folder=store.path(ref.digest),
        plane=plane,
        schema=schema,
        write=agreed.write,
        start=agreed.start,
        rehearsal=rehearsal,
        told=here.told,
        warnings=(*_warnings(snapshot), *recipe_warnings(recipe, store), *agreed.warnings),
        started_at=agreed.started_at,
        seconds={"resolve": resolved - begin, "plan": clock() - resolved},
        deadline=deadline,
        here=here,
    )


def _scoring(
    config: JobConfig,
    ref: ModelRef,
    snapshot: Snapshot,
    table: pa.Schema,
    source: str,
    *,
    store: ModelStore,
    here: Here,
    load: Load,
) -> tuple[Recipe, Plane, Rehearsal]:
    """Match the model and the table, cut the table, and compile the model where that is asked for.

    Returns:
        How rows are scored, the plane, and what became of trying the model here.
    """
    recipe = _recipe(ref, table, config, store, here, load)
    loaded = load(recipe.load)
    if isinstance(loaded, NotLoaded):
        return recipe, _plane(config, snapshot, table, recipe, source, here), NOT_LOADED
    rehearsal = rehearse(recipe, loaded, store.path(ref.digest))
    plane = _plane(config, snapshot, table, recipe, source, here)
    if recipe.options.compile is not None and plane.scan is not None:
        recipe = compile_recipe(recipe, loaded, store, partial(from_files, plane.scan, plane.tasks))
        refuse_unmet(requirements(ref.mlmodel, recipe.load.backend))
    return recipe, plane, rehearsal


def _written_by_workers(config: JobConfig, ref: ModelRef, plane: Plane, schema: StructType, agreed: Agreed) -> Plane:
    write = agreed.write
    plane = with_writers(
        plane,
        write,
        columns=to_arrow(schema),
        schema=schema.json(),
        constants=constants(config, ref, agreed.started_at),
        conf={},
        run_id=agreed.run_id,
    )
    if plane.sink is None:
        raise PlanError(
            f"Only Spark can write {write.location.name} as it should be written, and engine `local` runs without it.",
            details=[plane.writes_why],
            next_step=_NEXT_STEP,
        )
    return plane


def _loader(config: JobConfig, ref: ModelRef, store: ModelStore) -> Load:
    def load(spec: LoadSpec) -> LoadedModel:
        if spec.backend == SPARK:
            raise _spark_runs_it(ref)
        return load_here(spec, ref, store, config.score.cache_bytes)

    return load


def _no_loader(spec: LoadSpec) -> NotLoaded:
    return NotLoaded()


def _recipe(ref: ModelRef, table: pa.Schema, config: JobConfig, store: ModelStore, here: Here, load: Load) -> Recipe:
    # A plain copy: what the job file took from the environment does not travel to the workers.
    options = ScoreOptions.model_validate(config.score.model_dump())
    recipe = make_recipe(
        ref,
        table,
        options,
        folder=store.path(ref.digest),
        load_model=load,
        keep=config.target.keep,
        output=config.target.output,
        result_schema=result_schema(options.result_type, parse=parse_ddl),
        threads=here.cpus,
        show_values=os.environ.get("SPARK_INFER_SHOW_VALUES") == "1",
    )
    if recipe.load.backend == SPARK:
        raise _spark_runs_it(ref)
    refuse_unmet(requirements(ref.mlmodel, recipe.load.backend))
    warn_once(ref, recipe.load.backend, store.path(ref.digest))
    refuse_unsupported(table, recipe.read_columns(table))
    refuse_case_twins(table, recipe.read_columns(table))
    return recipe


def _spark_runs_it(ref: ModelRef) -> PlanError:
    return PlanError(
        f"{ref} is a Spark ML pipeline, which Spark itself runs, and engine `local` runs without it.",
        next_step=_NEXT_STEP,
    )


def _plane(config: JobConfig, snapshot: Snapshot, table: pa.Schema, recipe: Recipe, schema: str, here: Here) -> Plane:
    _refuse_condition(config, snapshot, table)
    plane = choose_plane(
        lambda name: "",
        config.model_copy(update={"plane": "auto"}),
        snapshot,
        table=table,
        columns=recipe.read_columns(table),
        schema=json.loads(schema),
        slots=here.processes,
        sparkml=False,
        beyond_spark=True,
    )
    if plane.name == "spark":
        raise PlanError(
            f"Only Spark can read {snapshot.location.name} as it should be read, and engine `local` runs without it.",
            details=[plane.why],
            next_step=_NEXT_STEP,
        )
    return replace(plane, why="by processes of this machine")


def _refuse_condition(config: JobConfig, snapshot: Snapshot, table: pa.Schema) -> None:
    try:
        if config.source.where is not None:
            condition(config.source.where, table)
    except UnknownColumn as error:
        raise SourceError(
            f"The condition `where` does not fit {snapshot.location.name}: {error}.",
            details=[f"where: {config.source.where}", f"columns: {', '.join(table.names)}"],
            next_step="correct the name.",
        ) from error
    except OnlySpark as error:
        raise SourceError(
            f"`where` cannot be used on {snapshot.location.name} by engine `local`: {error}.",
            details=[f"where: {config.source.where}"],
            next_step="write comparisons with literals, IN, BETWEEN and IS NULL, joined by AND, OR and NOT; or set "
            "engine: spark, which takes any SQL condition.",
        ) from error


def _warnings(snapshot: Snapshot) -> tuple[str, ...]:
    if (snapshot.size_bytes or 0) < _LARGE_BYTES:
        return ()
    return (
        f"the source has {(snapshot.size_bytes or 0) / 2**30:,.0f} GiB and one machine reads it: engine: spark spreads "
        "it over a cluster",
    )
