"""Begin a run, or take one up again."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from pyarrow import ArrowException

from spark_infer.config import JobConfig
from spark_infer.engines.plane import Plane
from spark_infer.engines.unit import WHOLE, Unit, Way, from_json, to_json
from spark_infer.errors import LedgerError
from spark_infer.job.units.bookmark_place import BookmarkPlace
from spark_infer.job.units.find_run import Found, find_run
from spark_infer.job.units.fingerprint import NEW_ROWS, fingerprint, mode_of
from spark_infer.job.units.other_runs import at_the_same_moment, keep_one, refuse_begun_beside
from spark_infer.job.units.overlap import make_way, overlapping
from spark_infer.job.units.repeats import refuse_moved_bookmark, refuse_repeated_append, refuse_rows_after_bookmark
from spark_infer.job.units.run_plan import RunPlan, written_of
from spark_infer.job.units.runs import Runs, plan_in, report_in, runs_beside
from spark_infer.job.units.target_state import target_state_of
from spark_infer.job.units.ways import begun_otherwise, can_score
from spark_infer.tables.check_target import planned_write
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.scan.task import ScanTask
from spark_infer.tables.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class Start:
    """A run that is about to begin, to go on, or that need not be done.

    Attributes:
        runs: The runs of its job.
        found: Where the job stands.
        run_id: The run's unique name.
        started_at: When the run began, UTC.
        facts: What decides its rows.
        units: All its units.
        touched: Whether the target holds anything of a run.
        lists: Name to content of what the ledger keeps for later runs.
        follows: Whether another driver is doing the run, in a way that this command cannot share.
        new_way: Who will score and write its units, where it begins now and has some.
    """

    runs: Runs
    found: Found
    run_id: str
    started_at: datetime
    facts: Mapping[str, Any]
    units: tuple[Unit, ...] = ()
    touched: Callable[[Ledger, RunPlan], bool]
    lists: Mapping[str, bytes] = field(default_factory=dict)
    follows: bool = False
    new_way: Way = Way.WORKERS

    @property
    def way(self) -> Way:
        """Who scores and writes its units."""
        plan = self.found.plan
        if plan is not None and plan.way:
            return Way(plan.way)
        if self.units == WHOLE:
            return Way.SPARK
        return self.new_way if plan is None else Way.WORKERS

    @property
    def finished(self) -> Mapping[str, Any] | None:
        """The report of the run, where nothing is left to do."""
        return self.found.report

    @property
    def tasks(self) -> tuple[ScanTask, ...]:
        """The scan tasks of all units."""
        return tuple(task for unit in self.units for task in unit.tasks)

    def write(self, location: TableLocation, config: JobConfig) -> WritePlan | None:
        """The write that the run planned when it began; None where it begins now."""
        if self.found.plan is None:
            return None
        saved = self.found.plan.write
        return planned_write(
            replace(location, format=saved["format"]),
            config.target,
            exists=saved["exists"],
            new_schema=saved["new_schema"],
            filled=saved.get("filled", ()),  # a run that an older version began has none
            parts=dict(zip(saved["partition_by"], saved["partition_types"], strict=True)),
        )

    def with_units(self, units: Sequence[Unit]) -> Start:
        """Take these units, or those that the run was cut into when it began."""
        if self.found.plan is None:
            return replace(self, units=tuple(units) or WHOLE)
        if self.finished is not None:
            return self
        return self._with_kept_units(self.found.plan)

    def _with_kept_units(self, plan: RunPlan) -> Start:
        """Take the units that the run was cut into; another driver may have finished it a moment ago."""
        ledger = self.found.ledger
        try:
            start = replace(self, units=from_json(ledger.tasks(plan.tasks), f"{ledger.folder.root}/{plan.tasks}"))
        except LedgerError:
            if ledger.report() is None:  # a run that is finished keeps no tasks
                raise
            start = self
        report = report_in(ledger)
        return start if report is None else replace(start, found=replace(start.found, done=plan.units, report=report))

    def is_begun_otherwise(self, plane: Plane) -> bool:
        """Whether the run was begun in a way in which those of a plane cannot go on with its units."""
        return self.found.plan is not None and self.finished is None and not can_score(plane, self.way)

    def goes_on(self, plane: Plane) -> bool:
        """Whether those who read and write in a plane can bring the run to its end.

        A run that was begun in another way can be published where all of it is scored, and begins again where nothing
        is done.

        Raises:
            UnfinishedRunError: A part of it is done in the other way, or may be at any moment.
        """
        plan, ledger, workers = self.found.plan, self.found.ledger, plane.sink is not None
        if plan is None or not self.is_begun_otherwise(plane):
            return True
        if self.found.done == plan.units and not self.way.stages_units:
            # Workers know how to leave a table without rows; Spark would have to score them once more.
            return workers or any(entry.files for entry in ledger.all_sealed().values())
        if self.found.done:
            done = f"{self.found.done:,} of {plan.units:,} units are done"
        elif self.touched(ledger, plan):
            done = "its rows are in the target"
        elif workers and self.way is Way.SPARK and self._spark_may_commit(plan):
            done = "Spark commits all of it at once, and may still be about to"
        else:
            return False
        raise begun_otherwise(ledger, plan, done, self.way, plane)

    def _spark_may_commit(self, plan: RunPlan) -> bool:
        commits = format_of(plan.write["format"]).spark_commits
        return commits and mode_of(plan.facts).adds_only

    def by_spark(self, plane: Plane, write: WritePlan) -> Start:
        """The run as Spark does it, unless it is written down otherwise: in units only where it has several.

        Args:
            plane: Who reads the rows.
            write: The write.
        """
        if self.found.plan is not None:
            return self
        storage = write.location.storage()
        # On an object store the rows of a unit would lie in the target's folder before they are published.
        if len(self.units) < 2 or storage is None or not storage.renames_atomically or write.made_by_catalog:
            return self.whole()
        return replace(self, new_way=Way.SPARK_BY_TASKS if plane.name == "direct" else Way.SPARK_BY_PARTITIONS)

    def whole(self) -> Start:
        """The run as Spark does it in one action, unless it is written down otherwise."""
        return self if self.found.plan is not None else replace(self, units=WHOLE)

    def restarted(self) -> Start:
        """The same job as a new run, which replaces this one."""
        mine, digest = self.found.ledger, fingerprint(self.facts)
        ledger = self.runs.ledger(self.runs.number(mine) + 1, digest)
        return replace(self, found=Found(ledger=ledger, replaces=(mine,)), run_id=uuid.uuid4().hex)


def look_up(
    config: JobConfig,
    snapshot: Snapshot,
    location: TableLocation,
    facts: Mapping[str, Any],
    *,
    exists: bool,
    new_run: bool,
    started_at: datetime,
) -> Start | None:
    """Say which run a command means; changes nothing.

    Args:
        config: The job.
        snapshot: Its source.
        location: Its target.
        facts: What decides the rows.
        exists: Whether the target exists.
        new_run: Whether the user wants a new run whatever was done before.
        started_at: Now, UTC.

    Returns:
        None where this process cannot reach the target's folder, and so nobody keeps account.

    Raises:
        UnfinishedRunError: An unfinished run planned something else, or the rows of one of another slice overlap.
        TargetError: The run would append rows that an earlier run of the job has put into the target.
        LedgerError: The account of a run is damaged, or may have been written by somebody else.
    """
    table = location.storage()
    if table is None:
        return None
    table_format = format_of(location.format)
    runs = runs_beside(table, config, snapshot.location, location, facts, new_run=new_run)
    there = target_state_of(table, table_format, config.target.write_mode)

    def touched(ledger: Ledger, plan: RunPlan) -> bool:
        return table_format.written.holds_some_of(table, ledger, plan.run_id)

    found = find_run(runs, facts, there, target_exists=exists, new_run=new_run, touched=touched)
    plan = found.plan
    if found.report is None and not found.done:
        giving_way = make_way(runs, facts, touched, new_run=new_run)
        found = replace(found, replaces=(*found.replaces, *giving_way))
    if plan is None and NEW_ROWS in facts:
        place = BookmarkPlace(
            table=table, location=location, exists=exists, written=table_format.written, runs=runs, config=config
        )
        refuse_moved_bookmark(facts, place.bookmark(), location.name)
    if plan is None and exists and not new_run and snapshot.listed is None:  # else no key of the target is read
        new_rows = facts.get(NEW_ROWS)
        refuse = refuse_rows_after_bookmark if new_rows and new_rows["found"] else refuse_repeated_append
        refuse(runs, facts, partial(table_format.written.holds_rows, table))
    return Start(
        runs=runs,
        found=found,
        run_id=plan.run_id if plan else uuid.uuid4().hex,
        started_at=plan.started_at if plan else started_at,
        facts=plan.facts if plan else facts,
        touched=touched,
    )


def begin(start: Start, write: WritePlan, rows: int | None) -> Start:
    """Write down what a run is going to do, unless it is written down; returns the run as it was written down.

    Where two drivers begin the same run at the same time, both go on with the plan of the first.

    Raises:
        LedgerError: Another command begins another run of this job at the same moment.
    """
    found = start.found
    if found.plan is None:
        refuse_begun_beside(start.runs, found.ledger)
    for replaced in found.replaces:
        replaced.close(json.dumps({"by": found.ledger.name}).encode())
    if found.plan is not None:
        return start
    tasks = to_json(start.units)
    plan = RunPlan(
        run_id=start.run_id,
        started_at=start.started_at,
        facts=start.facts,
        write=written_of(write),
        units=len(start.units),
        tasks=f"tasks.{hashlib.sha256(tasks).hexdigest()[:12]}.json",
        rows=rows,
        way=start.way.value if start.way.stages_units else "",
    )
    if not _written_down(found.ledger, plan, {**start.lists, plan.tasks: tasks}):
        return _joined(start)
    keep_one(start.runs, found.ledger)
    for other, _, _ in overlapping(start.runs, start.facts):  # begun since this command looked
        found.ledger.close(json.dumps({"by": other.name}).encode())
        raise at_the_same_moment(other)
    return replace(start, found=replace(found, plan=plan))


def _joined(start: Start) -> Start:
    """Go on with the plan of the driver that has begun the run first, and may have finished it."""
    ledger = start.found.ledger
    first = plan_in(ledger)
    if first is None:
        raise LedgerError(f"The plan of run {ledger.name} vanished.", next_step="run again.")
    found = replace(start.found, plan=first)
    joined = replace(start, found=found, run_id=first.run_id, started_at=first.started_at)._with_kept_units(first)
    return replace(joined, follows=joined.way != start.way)


def _written_down(ledger: Ledger, plan: RunPlan, files: Mapping[str, bytes]) -> bool:
    try:
        return ledger.begin(plan.to_json(), files)
    except (ArrowException, OSError) as error:
        raise LedgerError(
            f"The account of the run cannot be kept in {ledger.folder.parent().root}: {error}",
            details=["it lies beside the target; nothing has run, and nothing has changed"],
            next_step="make that folder writable, or choose another target.",
        ) from error
