"""A table job made ready: everything decided and checked, nothing run. The same steps for every engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pyarrow as pa

from spark_infer.config import JobConfig
from spark_infer.core.batching import model_rows
from spark_infer.engines.base import Engine, Scoring
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.local.ddl import parse_ddl
from spark_infer.engines.plane import Plane, without_direct
from spark_infer.engines.prepared_job import MatchedJob, PreparedJob
from spark_infer.engines.unit import Unit, cut_units
from spark_infer.errors import BookmarkMovedError
from spark_infer.job.further_tables import further_notes, plan_further_tables
from spark_infer.job.quarantine_plan import read_along
from spark_infer.job.row_count import check_planned_rows
from spark_infer.job.summary_plan import read_inputs
from spark_infer.job.trial import trial_key, trial_of, try_model
from spark_infer.job.units.choose_quarantined import choose_quarantined, scoring_again
from spark_infer.job.units.choose_run import ChosenRun, choose_run, choose_run_and_writers
from spark_infer.job.units.new_rows import WantedRows, wanted_rows
from spark_infer.job.units.pinned_source import Pin, find_pin, open_pinned, pin_warnings, refuse_other_reader
from spark_infer.job.units.stored_rows import with_stored_rows
from spark_infer.job.writers import with_writers
from spark_infer.models.backends.native import uses_gpu
from spark_infer.models.callables.callable_model import as_callable_model
from spark_infer.models.callables.pin import pin_callable
from spark_infer.models.driver import import_libraries, open_store
from spark_infer.models.hosting import choose_hosting
from spark_infer.models.pins import differences
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.rehearsal import Rehearsal
from spark_infer.models.stamps import constants
from spark_infer.tables.scan.cut import cut_by_partition


def prepare_job(
    engine: Engine[Any],
    config: JobConfig,
    *,
    model: ModelRef | None = None,
    new_run: bool = False,
    loads: bool = True,
    deadline: Deadline | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> PreparedJob:
    """Resolve the model once, pin the source, match the schemas, check the target; start no task.

    Args:
        engine: Where the job will run.
        config: The job.
        model: The pinned model, where the caller has resolved it already.
        new_run: Whether to begin a new run whatever was done before.
        loads: Whether the model may be loaded here, which runs its author's code; without it the job cannot run.
        deadline: When all must be done; by default after the job's ``deadline_seconds`` from now.
        clock: Seconds that only grow.

    Raises:
        PlanError: Something does not fit; nothing has run and nothing has changed.
    """
    until = deadline or Deadline.of(config)
    if config.trigger is not None:
        from spark_infer.job.streams.prepare_stream import prepare_stream

        return prepare_stream(engine, config, model=model, new_run=new_run, loads=loads, deadline=until)
    begin = clock()
    ref = model or until.plan(partial(resolved_model, config))
    resolved = clock()
    import_meanwhile(engine, config, ref, loads=loads, deadline=until)
    seconds = {"resolve": resolved - begin, "plan": clock() - resolved}
    prepare = partial(_prepare, engine, config, ref, seconds, new_run=new_run, loads=loads, deadline=until, clock=clock)
    return until.plan(partial(_planned_again, prepare), engine.call_in_thread)


def match_job(
    engine: Engine[Any],
    config: JobConfig,
    *,
    model: ModelRef | None = None,
    loads: bool = True,
    deadline: Deadline | None = None,
) -> MatchedJob:
    """Do what `prepare_job` does of model and source, all its rows, and look at neither the target nor its runs.

    Args:
        engine: Where the job will run.
        config: The job.
        model: The pinned model, where the caller has resolved it already.
        loads: Whether the model may be loaded here, which runs its author's code; without it the job cannot run.
        deadline: When all must be done; by default after the job's ``deadline_seconds`` from now.

    Raises:
        PlanError: Something does not fit; nothing has run and nothing has changed.
    """

    def match() -> MatchedJob:
        now = datetime.now(timezone.utc)
        with engine.planning():
            job = _match(engine, config, ref, WantedRows(), None, loads=loads, now=now, deadline=until)
        plane = job.plane if job.source.store is None else without_direct(job.plane, "only Spark can read the source")
        return replace(job, plane=plane)

    until = deadline or Deadline.of(config)
    ref = model or until.plan(partial(resolved_model, config))
    import_meanwhile(engine, config, ref, loads=loads, deadline=until)
    return until.plan(match, engine.call_in_thread)


def _planned_again(prepare: Callable[[], PreparedJob]) -> PreparedJob:
    """Plan once more where another command has added new rows meanwhile, which are no longer new."""
    try:
        return prepare()
    except BookmarkMovedError:
        return prepare()


def _prepare(
    engine: Engine[Any],
    config: JobConfig,
    ref: ModelRef,
    seconds: dict[str, float],
    *,
    new_run: bool,
    loads: bool,
    deadline: Deadline,
    clock: Callable[[], float],
) -> PreparedJob:
    with engine.planning():
        now, begin, config = datetime.now(timezone.utc), clock(), scoring_again(config)
        config, stored = with_stored_rows(engine.tables, config, new_run=new_run)
        wanted = wanted_rows(engine.tables, config, ref, new_run=new_run)
        again = choose_quarantined(engine.tables, config, new_run=new_run)
        if again is not None:
            wanted = replace(wanted, span=again.span, notes=again.notes)
        pin = find_pin(engine.tables, config, new_run=new_run)
        job = _match(engine, config, ref, wanted, pin, loads=loads, now=now, deadline=deadline)
        move = wanted.move(job.snapshot)
        run, plane = choose_run_and_writers(
            lambda new: choose_run(
                engine.tables,
                config,
                job.recipe,
                job.snapshot,
                _units(job, engine.slots() or 1),
                source_schema=job.source.schema,
                schema=job.schema,
                move=move,
                again=again,
                pin=pin,
                now=now,
                new_run=new or wanted.gives_up,
            ),
            partial(_with_writers, engine, config, ref, job.plane, job.schema),
            new_run=new_run,
        )
        if again is not None and run.start is not None and run.start.found.plan is None:
            again.refuse_gone(engine.tables, config)
        quarantine, cache, summary = plan_further_tables(engine, job, run, plane)
        is_scored = (run.start is not None and run.start.finished is not None) or (pin is not None and pin.is_scored)
        is_counted = config.source.condition is None and move is None and again is None and not is_scored
        row_warnings = check_planned_rows(config, job.snapshot.rows) if is_counted else ()
        notes = (*wanted.notes, *stored, *further_notes(cache, summary))
        decided = {
            "plane": plane,
            "warnings": (*job.warnings, *row_warnings, *run.warnings, *notes),
            "started_at": run.started_at,
            "seconds": {**seconds, "plan": seconds["plan"] + clock() - begin},
        }
        return PreparedJob(
            **{**vars(job), **decided},
            run_id=run.run_id,
            write=run.write,
            start=run.start,
            quarantine=quarantine,
            cache=cache,
            summary=summary,
            bookmark=move,
            again=again,
            new_run=new_run,
        )


def _match(
    engine: Engine[Any],
    config: JobConfig,
    ref: ModelRef,
    wanted: WantedRows,
    pin: Pin | None,
    *,
    loads: bool,
    now: datetime,
    deadline: Deadline,
) -> MatchedJob:
    store = open_store()
    source = open_pinned(engine, config, wanted.span, pin)
    scoring = engine.match(ref, source, config, store, loads=loads)
    key = trial_key(config, scoring, source) if loads and wanted.now is not None else ""
    known = wanted.trial(source.snapshot, key) if key and config.score.compile is None else None
    rehearsal = try_model(scoring) if known is None else known.rehearsal
    if rehearsal.difference is not None:
        scoring = engine.match(ref, source, _not_accelerated(config), store, loads=loads)
    recipe = read_inputs(read_along(scoring.recipe, source.table, config), source.table, config)
    scoring = replace(scoring, recipe=replace(recipe, any_size=rehearsal.any_size))
    plane = engine.choose_plane(config, source, scoring)
    wanted.refuse_plane(plane, source.snapshot)
    refuse_other_reader(pin, source, plane)
    if loads:
        scoring = engine.compiled(scoring, source, plane)
    trial = trial_of(scoring, rehearsal) if known is None else known
    batch_rows = model_rows(config.score.asked_batch_rows, trial, most=scoring.recipe.most_rows)
    gpu = uses_gpu(recipe.load.backend)
    choice = choose_hosting(config.score, engine.executor_shape(), trial.size_bytes, uses_gpu=gpu)
    scoring = replace(scoring, recipe=replace(scoring.recipe, hosting=choice.hosting))
    plane = plane.in_batches_of(batch_rows, config.score.max_batch_bytes, positions=config.quarantine is not None)
    return MatchedJob(
        config=config,
        engine=engine,
        source=source,
        scoring=scoring,
        how=trial.how,
        acceleration=trial.acceleration,
        by_row=trial.by_row,
        batch_rows=batch_rows,
        hosting=choice,
        folder=store.path(ref.digest),
        plane=plane,
        schema=engine.target_schema(config, source, scoring, plane),
        rehearsal=rehearsal,
        tried=trial.to_facts(key) if key else {},
        warnings=(
            *engine.warnings(source.snapshot),
            *filter(None, [source.snapshot.note]),
            *pin_warnings(pin, source),
            *_model_warnings(scoring, rehearsal),
            *_batch_warnings(config, by_row=trial.by_row),
        ),
        started_at=now,
        seconds={},
        deadline=deadline,
    )


def _units(job: MatchedJob, slots: int) -> tuple[Unit, ...]:
    """Cut what is to be scored into units: of scan tasks, or of table partitions where Spark reads the rows."""
    snapshot, options = job.snapshot, job.config.units
    if job.plane.tasks or snapshot.listing is None or snapshot.by_feed:
        return cut_units(job.plane.tasks, slots, options)
    return cut_units(cut_by_partition(snapshot.listing, snapshot.types), slots, options, tasks_for_each_slot=0)


def import_meanwhile(engine: Engine[Any], config: JobConfig, ref: ModelRef, *, loads: bool, deadline: Deadline) -> None:
    """Import the libraries of the model where the engine would only be waited for."""
    # An incremental job may believe what its last run saw of the model, and not load it here.
    if loads and engine.is_starting and not config.new_rows:
        deadline.plan(partial(import_libraries, ref, config.score, open_store()))


def resolved_model(config: JobConfig) -> ModelRef:
    """Resolve the model of a job to an exact version, whose files are in the store of this machine afterwards."""
    model = config.model
    named = as_callable_model(model.uri)
    if named is not None:
        named = replace(named, arguments=model.arguments, batch_format=model.batch_format)
        return pin_callable(named, config.score, open_store(), parse_ddl)
    return resolve(
        model.uri,
        tracking_uri=model.tracking_uri,
        registry_uri=model.registry_uri,
        store=open_store(),
        download_seconds=model.download_seconds,
    )


def _not_accelerated(config: JobConfig) -> JobConfig:
    return config.model_copy(update={"score": config.score.model_copy(update={"accelerate": "off"})})


def _with_writers(
    engine: Engine[Any], config: JobConfig, ref: ModelRef, plane: Plane, schema: pa.Schema, agreed: ChosenRun
) -> Plane:
    if plane.name == "direct":
        plane = with_writers(
            plane,
            agreed.write,
            schema=schema,
            constants=constants(config, ref, agreed.started_at),
            conf=engine.conf(),
            run_id=agreed.run_id,
        )
    engine.check_writers(plane, agreed.write)
    return plane


def _batch_warnings(config: JobConfig, *, by_row: bool) -> tuple[str, ...]:
    if config.score.batch_size != "auto" or by_row:
        return ()
    return (
        "batch_size: auto cuts rows by what is measured: if this model looks at the rows beside one, which is not "
        "known, predictions change from run to run; `spark-infer tune` measures a number to set",
    )


def _model_warnings(scoring: Scoring, rehearsal: Rehearsal) -> tuple[str, ...]:
    recipe = scoring.recipe
    folder = scoring.store.path(recipe.ref.digest)
    turned_off = [] if rehearsal.difference is None else [f"acceleration is turned off: {rehearsal.difference}"]
    return (*recipe.warnings(), *differences(recipe.ref, recipe.load.backend, folder), *turned_off)
