"""A driver of a run beside another one, with a ledger on a disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spark_infer.errors import PredictError, RunError, WriteError
from spark_infer.job.units.concurrent_drivers import drive_shared
from spark_infer.job.units.drive import Outcome
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.ledger.signed import stamped
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import open_storage


def seal(ledger: Ledger, unit: int, session: str) -> None:
    """A unit of ten rows and more, by its number."""
    file = WrittenFile(path=f"{unit}.parquet", rows=10 + unit, size=1)
    assert ledger.seal(Sealed(unit=unit, session=session, files=(file,)))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    folder = open_storage(f"file://{tmp_path}/run")
    assert folder is not None
    made = Ledger(folder)
    made.begin(b"{}", {"tasks.json": b"[]"})
    seal(made, 0, "before")
    return made


def no_pause(seconds: float) -> None:
    raise AssertionError("it waits")


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


def test_a_driver_whose_files_another_one_has_moved_looks_again_and_counts_what_each_did(ledger: Ledger) -> None:
    def meanwhile() -> None:
        if not ledger.is_sealed(1):
            seal(ledger, 1, "mine")
            seal(ledger, 2, "other")

    pauses: list[float] = []
    drive = Drive(ledger, [WriteError("no folder"), FileNotFoundError("new")], meanwhile)
    outcome = drive_shared(ledger, "mine", drive, pauses.append)
    assert isinstance(outcome, Outcome)
    assert (outcome.done_before, outcome.rows_before, outcome.done_elsewhere) == (1, 10, 1)
    assert (drive.calls, len(pauses)) == (3, 2)


def test_a_run_that_another_driver_has_finished_is_not_a_failure(ledger: Ledger) -> None:
    drive = Drive(ledger, [RunError("anything")], lambda: None)
    ledger.finish(stamped({"run": "theirs"}))
    assert drive_shared(ledger, "mine", drive, no_pause) == {"run": "theirs"}


@pytest.mark.parametrize(
    ("error", "other"), [(WriteError("disk full"), "mine"), (PredictError("the model raised"), "other")]
)
def test_a_failure_of_its_own_is_raised_at_once(ledger: Ledger, error: RunError, other: str) -> None:
    drive = Drive(ledger, [error], lambda: seal(ledger, 1, other))
    with pytest.raises(type(error)):
        drive_shared(ledger, "mine", drive, no_pause)
    assert drive.calls == 1


def test_a_driver_does_not_look_for_ever(ledger: Ledger) -> None:
    drive = Drive(ledger, [WriteError("no folder")] * 9, lambda: None if ledger.is_sealed(1) else seal(ledger, 1, "o"))
    with pytest.raises(WriteError):
        drive_shared(ledger, "mine", drive, lambda seconds: None)
    assert drive.calls == 5
