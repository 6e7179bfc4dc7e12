"""What a command does that meets another run of its job, or another driver of its own run, while it begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_infer.config.write_modes import CREATE
from spark_infer.engines.plane import Plane
from spark_infer.engines.unit import WHOLE, Unit, Way
from spark_infer.errors import LedgerError, UnfinishedRunError
from spark_infer.job.units.drive import clean
from spark_infer.job.units.find_run import Found, find_run
from spark_infer.job.units.run_units import done_by_others
from spark_infer.job.units.runs import Runs
from spark_infer.job.units.start import Start, begin
from spark_infer.runtime.process_identity import ProcessIdentity
from spark_infer.tables.ledger import drivers
from spark_infer.tables.ledger.drivers import Driver
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.scan.task import Piece, ScanTask
from spark_infer.tables.sink.sink_spec import SinkSpec
from spark_infer.tables.storage import open_storage

READ, BY_SPARK = Plane(name="direct", why=""), Plane(name="spark", why="")
BY_WORKERS = replace(READ, sink=SinkSpec(run_id="a" * 16, schema=pa.schema([])))
AT = datetime(2026, 11, 30, 6, tzinfo=timezone.utc)
UNITS = (Unit(0, (ScanTask(0, (Piece("a.parquet", 1, rows=2),)),)), Unit(1, (ScanTask(1, (Piece("b.parquet", 1),)),)))
OWN = Driver(session="theirs", process=ProcessIdentity.own(), since=AT)
NAMED = f"process {OWN.process.pid} on host {OWN.process.host}, at work since 2026-11-30 06:00:00 UTC"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    table = open_storage(f"file://{tmp_path}/t")
    assert table is not None
    return Runs.of(table, "score", "0badc0de")


def found(runs: Runs, facts: dict[str, Any], *, new_run: bool = False) -> Found:
    return find_run(runs, facts, lambda *_: True, target_exists=True, new_run=new_run)


def start(runs: Runs, facts: dict[str, Any], run_id: str = "0" * 16, units: tuple[Unit, ...] = UNITS) -> Start:
    one = Start(
        runs=runs,
        found=found(runs, facts),
        run_id=run_id,
        started_at=AT,
        facts=facts,
        touched=lambda *_: True,
    )
    return one.with_units(units)


def begun(one: Start) -> Start:
    location = TableLocation("delta", "file:///t")
    return begin(one, WritePlan(location, CREATE, False, (), None, ""), None)


def no_pause(seconds: float) -> None:
    raise AssertionError("it waits")


def test_a_run_that_is_at_work_is_not_given_up_unless_that_is_asked_for(runs: Runs) -> None:
    theirs = begun(start(runs, {"day": 1}))
    drivers.enter(theirs.found.ledger, OWN)
    with pytest.raises(UnfinishedRunError, match="at work on the target at this moment") as refused:
        found(runs, {"day": 2})
    assert refused.value.details == (f"run {theirs.found.ledger.name}: {NAMED}", "day: 1 then, 2 now")
    assert found(runs, {"day": 2}, new_run=True).replaces == (theirs.found.ledger,)
    drivers.leave(theirs.found.ledger, OWN)
    assert found(runs, {"day": 2}).replaces == (theirs.found.ledger,)


@pytest.mark.parametrize("days", [(1, 2), (2, 1)])
def test_a_run_is_not_begun_beside_another_one_that_was_begun_since_it_was_planned(
    runs: Runs, days: tuple[int, int]
) -> None:
    first, second = (start(runs, {"day": day}) for day in days)
    theirs = begun(first)
    drivers.enter(theirs.found.ledger, OWN)
    with pytest.raises(LedgerError, match="while this one was planned") as refused:
        begun(second)
    assert refused.value.details == (f"run {theirs.found.ledger.name}: {NAMED}",)
    assert not theirs.found.ledger.closed()


def test_a_driver_that_begins_a_run_second_goes_on_with_the_plan_of_the_first(runs: Runs) -> None:
    first, second = start(runs, {}, "a" * 16), start(runs, {}, "b" * 16)
    begun(first)
    joined = begun(second)
    assert (joined.run_id, joined.units, joined.follows) == ("a" * 16, UNITS, False)
    assert done_by_others(joined, no_pause) is None


def test_a_driver_that_begins_a_run_which_was_finished_since_it_was_planned_has_nothing_to_do(runs: Runs) -> None:
    second = start(runs, {})
    ledger = begun(start(runs, {}, "a" * 16)).found.ledger
    ledger.finish(stamped({"run": "theirs"}))
    clean(runs, ledger)
    assert begun(second).finished == {"run": "theirs"}


def test_a_run_that_is_finished_while_its_units_are_looked_up_has_nothing_to_do(runs: Runs) -> None:
    ledger = begun(start(runs, {})).found.ledger
    second = start(runs, {})
    ledger.finish(stamped({"run": "theirs"}))
    clean(runs, ledger)
    assert second.with_units(UNITS).finished == {"run": "theirs"}


@pytest.mark.parametrize(("theirs", "mine"), [(WHOLE, UNITS), (UNITS, WHOLE)])
def test_a_run_that_the_other_one_does_in_another_way_is_waited_for(
    runs: Runs, theirs: tuple[Unit, ...], mine: tuple[Unit, ...]
) -> None:
    first, second = start(runs, {}, "a" * 16, theirs), start(runs, {}, "b" * 16, mine)
    ledger = begun(first).found.ledger
    joined = begun(second)
    assert joined.follows
    drivers.enter(ledger, OWN)

    def sleep(seconds: float) -> None:
        drivers.leave(ledger, OWN)

    with pytest.raises(UnfinishedRunError, match="ended without finishing it"):
        done_by_others(joined, sleep)


def test_a_run_begun_in_another_way_is_seen_before_it_is_joined(runs: Runs) -> None:
    begun(start(runs, {}, units=WHOLE))
    second = replace(start(runs, {}), units=WHOLE)
    assert second.is_begun_otherwise(BY_WORKERS)
    assert not second.is_begun_otherwise(BY_SPARK)


@pytest.mark.parametrize(
    ("way", "mine", "other"), [(Way.SPARK_BY_TASKS, READ, BY_SPARK), (Way.SPARK_BY_PARTITIONS, BY_SPARK, READ)]
)
def test_units_that_spark_writes_are_ended_by_those_who_read_them(
    runs: Runs, way: Way, mine: Plane, other: Plane
) -> None:
    ledger = begun(replace(start(runs, {}), new_way=way)).found.ledger
    again = start(runs, {})
    assert again.way is way
    assert again.goes_on(mine)
    ledger.seal(Sealed(unit=0, session="a" * 8, files=(), stats=(), seconds=0))
    again = start(runs, {})
    for plane in (other, BY_WORKERS):
        with pytest.raises(UnfinishedRunError, match="cannot go on in this way") as refused:
            again.goes_on(plane)
        assert "1 of 2 units are done" in str(refused.value)
