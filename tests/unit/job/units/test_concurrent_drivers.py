"""A driver of a run beside another one, with a ledger on a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from spark_infer.errors import LedgerError, PredictError, RunError, TakenOverError, WriteError
from spark_infer.job.units.concurrent_drivers import Turns, drive_shared, follow, taking_part
from spark_infer.job.units.drive import Outcome
from spark_infer.runtime.process_identity import ProcessIdentity
from spark_infer.tables.ledger import drivers
from spark_infer.tables.ledger.drivers import Driver
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import open_storage

FAR = ProcessIdentity(host="far", pid=7, machine="another boot")
DEAD = replace(ProcessIdentity.own(), born="0")


def seal(ledger: Ledger, unit: int, session: str) -> None:
    """A unit of ten rows and more, by its number."""
    file = WrittenFile(path=f"{unit}.parquet", rows=10 + unit, size=1)
    assert ledger.seal(Sealed(unit=unit, session=session, files=(file,)))


def of(root: Path, name: str = "score.0badc0de.0001.abc") -> Ledger:
    folder = open_storage(f"file://{root}/{name}")
    assert folder is not None
    return Ledger(folder)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = of(tmp_path)
    made.begin(b"{}", {"tasks.json": b"[]"})
    seal(made, 0, "before")
    return made


def no_pause(seconds: float) -> None:
    raise AssertionError("it waits")


@contextmanager
def silent(beat: Callable[[], None]) -> Iterator[None]:
    yield


def enter(ledger: Ledger, session: str, process: ProcessIdentity = FAR) -> Driver:
    driver = Driver(session=session, process=process, since=datetime(2026, 11, 30, 6, tzinfo=timezone.utc))
    drivers.enter(ledger, driver)
    return driver


@pytest.fixture
def turns(ledger: Ledger) -> Iterator[Turns]:
    with taking_part(ledger, "mine", no_pause, silent) as made:
        yield made


class Drive:
    """Fails with the given errors, one for each call, then brings the run to its end."""

    def __init__(self, ledger: Ledger, errors: list[Exception], meanwhile: Callable[[], None]) -> None:
        self.calls = 0
        self._ledger, self._errors, self._meanwhile = ledger, errors, meanwhile

    def __call__(self) -> Outcome:
        self.calls += 1
        if self.calls <= len(self._errors):
            self._meanwhile()
            raise self._errors[self.calls - 1]
        entries = [self._ledger.sealed(unit) for unit in self._ledger.done()]
        return Outcome(entries=entries, done_before=len(entries), rows_before=99)


def test_a_driver_whose_files_another_one_has_moved_looks_again_and_counts_what_each_did(
    ledger: Ledger, turns: Turns
) -> None:
    def meanwhile() -> None:
        if not ledger.is_sealed(1):
            seal(ledger, 1, "mine")
            seal(ledger, 2, "other")

    pauses: list[float] = []
    drive = Drive(ledger, [WriteError("no folder"), FileNotFoundError("new")], meanwhile)
    outcome = drive_shared(replace(turns, sleep=pauses.append), drive)
    assert isinstance(outcome, Outcome)
    assert (outcome.done_before, outcome.rows_before, outcome.done_elsewhere) == (1, 10, 1)
    assert (drive.calls, len(pauses)) == (3, 2)


def test_a_run_that_another_driver_has_finished_is_not_a_failure(ledger: Ledger, turns: Turns) -> None:
    drive = Drive(ledger, [RunError("anything")], lambda: None)
    ledger.finish(stamped({"run": "theirs"}))
    assert drive_shared(turns, drive) == {"run": "theirs"}


@pytest.mark.parametrize(
    ("error", "other"), [(WriteError("disk full"), "mine"), (PredictError("the model raised"), "other")]
)
def test_a_failure_of_its_own_is_raised_at_once(ledger: Ledger, turns: Turns, error: RunError, other: str) -> None:
    drive = Drive(ledger, [error], lambda: seal(ledger, 1, other))
    with pytest.raises(type(error)):
        drive_shared(turns, drive)
    assert drive.calls == 1


def test_a_driver_that_was_killed_earlier_is_no_excuse_for_a_failure(ledger: Ledger, turns: Turns) -> None:
    enter(ledger, "killed", DEAD)
    drive = Drive(ledger, [WriteError("disk full")], lambda: None)
    with pytest.raises(WriteError):
        drive_shared(turns, drive)


@pytest.mark.parametrize("error", [TakenOverError.of_run("r"), LedgerError("gone"), OSError("gone")])
def test_beside_another_driver_that_has_done_no_unit_it_looks_again_too(
    ledger: Ledger, turns: Turns, error: Exception
) -> None:
    enter(ledger, "other")
    outcome = drive_shared(replace(turns, sleep=lambda _: None), Drive(ledger, [error], lambda: None))
    assert isinstance(outcome, Outcome)


def test_a_driver_does_not_look_for_ever(ledger: Ledger, turns: Turns) -> None:
    drive = Drive(ledger, [WriteError("no folder")] * 9, lambda: None if ledger.is_sealed(1) else seal(ledger, 1, "o"))
    with pytest.raises(WriteError):
        drive_shared(replace(turns, sleep=lambda _: None), drive)
    assert drive.calls == 5


def test_what_a_driver_meets_whose_run_was_given_up_names_the_run_that_took_its_place(
    ledger: Ledger, turns: Turns, tmp_path: Path
) -> None:
    newer = of(tmp_path, "score.0badc0de.0002.def")
    newer.begin(b"{}", {"tasks.json": b"[]"})
    enter(newer, "theirs", ProcessIdentity.own())
    ledger.close(b"{}")
    with pytest.raises(LedgerError, match="was given up") as caught:
        drive_shared(turns, Drive(ledger, [WriteError("a file is not there")], lambda: None))
    (detail,) = caught.value.details
    own = ProcessIdentity.own()
    assert detail == f"run {newer.name}: process {own.pid} on host {own.host}, at work since 2026-11-30 06:00:00 UTC"


def test_where_the_newer_run_has_finished_and_swept_the_ledger_away_the_cause_is_the_same(
    ledger: Ledger, turns: Turns, tmp_path: Path
) -> None:
    of(tmp_path, "score.0badc0de.0002.def").begin(b"{}", {"tasks.json": b"[]"})

    def meanwhile() -> None:
        ledger.folder.files.delete_dir(ledger.folder.root)

    with pytest.raises(LedgerError, match="was given up"):
        drive_shared(turns, Drive(ledger, [WriteError("a file is not there")], meanwhile))


def test_an_error_of_the_target_names_the_other_runs_that_write_to_it(
    ledger: Ledger, turns: Turns, tmp_path: Path
) -> None:
    busy, done, old = (of(tmp_path, f"{name}.0badc0de.0001.abc") for name in ("busy", "done", "old"))
    for each in (busy, done, old):
        each.begin(b"{}", {"tasks.json": b"[]"})
    enter(busy, "b", FAR)
    done.finish(b"")
    with pytest.raises(WriteError) as caught:
        drive_shared(turns, Drive(ledger, [WriteError("made by another writer")], lambda: None))
    assert caught.value.details == (
        f"meanwhile, run {busy.name}: process 7 on host far, at work since 2026-11-30 06:00:00 UTC",
        f"meanwhile, run {done.name} has finished",
    )


def test_the_first_driver_has_its_turn_at_once_and_keeps_it(turns: Turns) -> None:
    assert turns.wait() is None
    assert turns.wait() is None


def test_a_driver_waits_for_another_one_and_gets_its_report(ledger: Ledger, turns: Turns) -> None:
    other = enter(ledger, "other")
    assert drivers.take_turn(ledger, 1, "other")
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        drivers.beat(ledger, other)  # it works for longer than a silent one is waited for
        if len(looks) == 100:
            ledger.finish(stamped({"run": "theirs"}))

    assert replace(turns, sleep=sleep, silent_looks=5).wait() == {"run": "theirs"}
    assert len(looks) == 100


@pytest.mark.parametrize("end", ["leaves", "dies", "hangs"])
def test_the_turn_of_a_driver_that_is_gone_is_the_next_one_s(ledger: Ledger, turns: Turns, end: str) -> None:
    other = enter(ledger, "other", DEAD if end == "dies" else FAR)
    assert drivers.take_turn(ledger, 1, "other")
    looks: list[float] = []
    if end == "leaves":
        drivers.leave(ledger, other)
    assert replace(turns, sleep=looks.append, silent_looks=5).wait() is None
    assert drivers.newest_turn(ledger) == (2, "mine")
    assert len(looks) == (5 if end == "hangs" else 0)


def test_a_run_that_cannot_be_shared_is_followed_to_its_end_or_until_its_driver_is_gone(ledger: Ledger) -> None:
    other = enter(ledger, "other")

    def sleep(seconds: float) -> None:
        ledger.finish(stamped({"run": "theirs"}))

    assert follow(ledger, sleep) == {"run": "theirs"}
    ledger.folder.files.delete_file(ledger.folder.at("report.json"))
    drivers.leave(ledger, other)
    assert follow(ledger, no_pause) is None


def test_a_driver_is_seen_while_it_is_at_work_and_not_after(ledger: Ledger) -> None:
    with taking_part(ledger, "mine"):
        assert [driver.session for driver in drivers.at_work(ledger)] == ["mine"]
    assert drivers.sessions(ledger) == set()
