"""Which run a command means, and what it will do to the target: the last that is decided of a job."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from spark_infer.config import JobConfig
from spark_infer.engines.plane import Plane
from spark_infer.engines.unit import Unit
from spark_infer.errors import TargetError
from spark_infer.job.units.fingerprint import deciding_facts
from spark_infer.job.units.new_rows import lists_of
from spark_infer.job.units.pinned_source import Pin
from spark_infer.job.units.quarantined_rows import QuarantinedRows
from spark_infer.job.units.runs import before_running
from spark_infer.job.units.start import Start, look_up
from spark_infer.models.recipe import Recipe
from spark_infer.tables.bookmark import BookmarkMove
from spark_infer.tables.check_target import find_target, plan_write
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.table_lookup import TableLookup

_MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ChosenRun:
    """What a run is called, and how it writes.

    Attributes:
        start: The run to begin or to go on with; None where nobody can keep account of it.
        write: What the write will do.
        run_id: The run's unique name.
        started_at: When the run began, UTC.
    """

    start: Start | None
    write: WritePlan
    run_id: str
    started_at: datetime

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader of plan and report should know of the ledger, a sentence each."""
        if self.start is None:
            return ()
        access, note = self.start.runs.access, self.start.found.note
        return (*(() if access is None else access.warnings()), *filter(None, [note]))


@before_running()
def choose_run_and_writers(
    agreed: Callable[[bool], ChosenRun], writers: Callable[[ChosenRun], Plane], *, new_run: bool
) -> tuple[ChosenRun, Plane]:
    """Find the run, and who writes it.

    Who writes depends on what the write does, and a run that was begun by other writers is not always theirs to finish.

    Args:
        agreed: Agrees, on a new run where that is so.
        writers: Says who writes, in the plane that it returns.
        new_run: Whether the user wants a new run whatever was done before.

    Raises:
        PlanError: As `choose_run`; and where others have done a part of the run, or a ledger is damaged or not to be
            trusted.
    """
    try:
        run = agreed(new_run)
    except TargetError:
        # Another driver may have done this very run between two looks: then it is known now.
        run = agreed(new_run)
    plane = writers(run)
    if run.start is not None and run.start.is_begun_otherwise(plane) and at_work(run.start.found.ledger):
        return replace(run, start=replace(run.start, follows=True)), plane
    if run.start is not None and not run.start.goes_on(plane):
        run = agreed(True)
        plane = writers(run)
    if run.start is None or plane.sink is not None:
        return run, plane
    return replace(run, start=run.start.by_spark(plane, run.write)), plane


def choose_run(
    lookup: TableLookup,
    config: JobConfig,
    recipe: Recipe,
    snapshot: Snapshot,
    units: Sequence[Unit],
    *,
    source_schema: pa.Schema,
    schema: pa.Schema,
    move: BookmarkMove | None,
    again: QuarantinedRows | None,
    pin: Pin | None,
    now: datetime,
    new_run: bool,
) -> ChosenRun:
    """Find the run, and plan its write unless it was planned when the run began; changes nothing.

    Args:
        lookup: What the engine knows of tables.
        config: The job.
        recipe: How its rows are scored.
        snapshot: Its source.
        units: The units of a run that begins now.
        source_schema: The source's columns.
        schema: The target's columns.
        move: How an incremental run moves the bookmark of its target; None for other runs.
        again: The quarantined rows that are scored again; None for other runs.
        pin: What the job's unfinished run began with; None where there is none.
        now: When the command began, UTC.
        new_run: Whether the user wants a new run whatever was done before.

    Raises:
        PlanError: The target cannot take the rows, or an unfinished run planned something else.
    """
    location, exists = find_target(lookup, config.target, snapshot.location.format)
    facts = deciding_facts(
        config,
        recipe,
        snapshot,
        location,
        source_schema=source_schema,
        schema=schema,
        move=move,
        again=None if again is None else again.facts,
    )
    facts |= {} if pin is None or new_run else pin.scored_facts
    start = look_up(config, snapshot, location, facts, exists=exists, new_run=new_run, started_at=now)
    write = start.write(location, config) if start is not None else None
    if write is not None and write.exists and not exists and not format_of(location.format).is_replaced_by_rename:
        raise TargetError(
            f"The target {location.name} is gone, to which a run was about to write.",
            details=["rows that are scored are kept beside its place"],
            next_step="bring it back and run the same command again; or start a new run with --new-run (new_run=True).",
        )
    _refuse_made_keys(config, recipe)
    write = write or plan_write(lookup, config.target, snapshot=snapshot, schema=schema)
    moves_bookmark = move is not None and bool(format_of(location.format).log_folder)
    write = replace(write, at_once=moves_bookmark or again is not None, comments=_comments(config, recipe, write))
    _refuse_outside_scope(config, recipe, snapshot, write)
    if start is None:
        return ChosenRun(start=None, write=write, run_id=uuid.uuid4().hex, started_at=now)
    lists = lists_of(move) | ({} if again is None else again.lists())
    start = replace(start.with_units(units), lists=lists)
    return ChosenRun(start=start, write=write, run_id=start.run_id, started_at=start.started_at)


def _comments(config: JobConfig, recipe: Recipe, write: WritePlan) -> dict[str, str]:
    """What the columns hold that scoring makes, for those who find the table in the catalog."""
    if not (write.creates and write.location.table):
        return {}
    target, model = config.target, recipe.ref.name
    predictions = dict.fromkeys(recipe.outputs.names, f"prediction of the model {model}")
    about = {
        target.model_name_column: "name of the model that made the prediction",
        target.model_version_column: "version of the model that made the prediction",
        target.scored_at_column: "when the run began that made the prediction",
    }
    return predictions | {name: text for name, text in about.items() if name is not None}


def _refuse_made_keys(config: JobConfig, recipe: Recipe) -> None:
    """Refuse to merge by a column that only scoring makes: the rows of the source could not be distinguished by it."""
    made = [key for key in config.target.keys if key not in recipe.keep]
    if made:
        raise TargetError(
            f"`keys` names {made[0]}, which is not a column of the source that is kept.",
            details=[f"kept columns: {', '.join(recipe.keep)}"],
            next_step="merge by columns of the source, and name them in `keep` where that is a list.",
        )


def _refuse_outside_scope(config: JobConfig, recipe: Recipe, snapshot: Snapshot, write: WritePlan) -> None:
    """Refuse rows of table partitions that the write may not replace, where the source's own partitions tell of them.

    A condition may leave none of these rows, and then only the workers know.
    """
    scope, listing = write.scope, snapshot.listing
    if scope is None or listing is None or config.source.condition is not None:
        return
    told = [column for column in scope.columns if column.name in recipe.keep and column.name in snapshot.types]
    outside = [
        f"{column.name} = {'null' if value is None else value}"
        for column in told
        for value in sorted({file.values.get(column.name) for file in listing.files if file.rows}, key=str)
        if not column.holds(value)
    ]
    if outside:
        raise TargetError(
            "The source has rows outside the table partitions that `partitions` declares.",
            details=[f"it may replace: {scope.sql}", *outside[:_MOST_SHOWN]],
            next_step="declare these partitions too, or read only the others with `source.partition_filter`.",
        )
