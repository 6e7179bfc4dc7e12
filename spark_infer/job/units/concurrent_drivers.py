"""A run that several drivers do at the same time: whose turn it is to publish, and what the others do meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pyarrow import ArrowException

from spark_infer.errors import LedgerError, TakenOverError, WriteError
from spark_infer.job.units.drive import Outcome
from spark_infer.job.units.other_runs import named, refuse_taken_over
from spark_infer.job.units.runs import report_in
from spark_infer.tables.ledger import drivers
from spark_infer.tables.ledger.drivers import Driver
from spark_infer.tables.ledger.ends import note_end
from spark_infer.tables.ledger.ledger import REPORT, Ledger

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_SILENT_LOOKS = 60
"""Half a minute in which a driver has shown nothing: it hangs, or its machine is gone."""

_TRIES = 5
_DISTURBED = (WriteError, LedgerError, ArrowException, OSError)
"""What a driver meets whose files another one has put into their place, or removed because the run is finished."""

T = TypeVar("T")
Finished = Mapping[str, Any]
"""What a run reported that is finished."""

Beating = Callable[[Callable[[], None]], Any]
"""A context in which something is called again and again."""


@contextmanager
def beating(beat: Callable[[], None]) -> Iterator[None]:
    """Call something every two seconds, from another thread."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(_BEAT_SECONDS):
            beat()

    thread = threading.Thread(target=go_on, name="spark_infer-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_BEAT_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Turns:
    """The turns of a run's drivers, as one of them sees them.

    What must happen one driver at a time waits for a turn. The turn of a driver that is gone, or has not been seen for
    half a minute, is the next one's. It may come back: then it is stopped by what it finds changed, and waits.

    Attributes:
        ledger: The run's account.
        driver: This one.
        sleep: Waits some seconds; raises where this command has no time left.
        silent_looks: How many looks at a driver that does nothing mean that it hangs.
    """

    ledger: Ledger
    driver: Driver
    sleep: Callable[[float], None] = time.sleep
    silent_looks: int = _SILENT_LOOKS

    def wait(self) -> Finished | None:
        """Wait for this driver's turn; returns the run's report where another driver finishes the run first.

        Raises:
            LedgerError: Another command gave the run up.
        """
        watched = Watched(self.ledger, self.silent_looks)
        while True:
            if (report := report_in(self.ledger)) is not None:
                return report
            refuse_taken_over(self.ledger)
            number, session = drivers.newest_turn(self.ledger)
            if session == self.driver.session:
                return None
            if watched.is_gone(session):
                if drivers.take_turn(self.ledger, number + 1, self.driver.session):
                    return None
                continue
            self.sleep(_LOOK_SECONDS)

    def others(self) -> set[str]:
        """The other drivers that are at work, as far as one look shows."""
        return {driver.session for driver in drivers.at_work(self.ledger)} - {self.driver.session}


def follow(ledger: Ledger, sleep: Callable[[float], None], silent_looks: int = _SILENT_LOOKS) -> Finished | None:
    """Wait until other drivers have finished a run; None where there is none at work any more.

    Args:
        ledger: The run's account.
        sleep: Waits some seconds.
        silent_looks: How many looks at a driver that does nothing mean that it hangs.

    Raises:
        LedgerError: Another command gave the run up.
    """
    watched: dict[str, Watched] = {}
    while (report := report_in(ledger)) is None:
        refuse_taken_over(ledger)
        for name in drivers.sessions(ledger) - watched.keys():
            watched[name] = Watched(ledger, silent_looks)
        watched = {name: each for name, each in watched.items() if not each.is_gone(name)}
        if not watched:
            return report_in(ledger)
        sleep(_LOOK_SECONDS)
    return report


class Watched:
    """Another driver, as one that waits for it sees it."""

    def __init__(self, ledger: Ledger, silent_looks: int) -> None:
        self._ledger = ledger
        self._most = silent_looks
        self._session = ""
        self._beat: int | None = None
        self._looks = 0

    def is_gone(self, session: str) -> bool:
        """Look once more: whether it has left, its process is dead, or it was silent at all of the last looks."""
        beat = drivers.last_beat(self._ledger, session) if session else None
        if beat is None:
            return True
        driver = drivers.driver_of(self._ledger, session)
        if driver is not None and driver.process.is_gone():
            return True
        if session != self._session:
            logger.warning("Waiting for another driver of run %s: %s", self._ledger.name, driver or session)
        if (session, beat) != (self._session, self._beat):
            self._session, self._beat, self._looks = session, beat, 0
        self._looks += 1
        return self._looks > self._most


@contextmanager
def taking_part(
    ledger: Ledger, session: str, sleep: Callable[[float], None] = time.sleep, beating: Beating = beating
) -> Iterator[Turns]:
    """Be one of the drivers of a run, for the others to see.

    Args:
        ledger: The run's account.
        session: The name of this command.
        sleep: Waits some seconds.
        beating: Calls what shows others that this driver is at work.
    """
    driver = Driver.own(session)
    drivers.enter(ledger, driver)
    try:
        with beating(lambda: drivers.beat(ledger, driver)):
            yield Turns(ledger=ledger, driver=driver, sleep=sleep)
    except (Exception, KeyboardInterrupt) as error:
        note_end(ledger, session, error)
        raise
    finally:
        drivers.leave(ledger, driver)


def drive_shared(turns: Turns, drive: Callable[[], T | Finished]) -> T | Finished:
    """Drive a run to its end, beside other drivers of it.

    A driver that publishes a run moves all its files, and the last one removes the folders that tasks of slower drivers
    still write into. Such a driver looks at the ledger again; it fails only where nobody else was at work.

    Args:
        turns: The run and its drivers.
        drive: Does what is left; another call goes on from there.

    Returns:
        What was done; or the report of the run, where another driver has finished it.

    Raises:
        LedgerError: Another command gave the run up, whatever this driver met because of that.
    """
    ledger, session = turns.ledger, turns.driver.session
    before = set(ledger.done())
    for left in reversed(range(_TRIES)):
        others = turns.others()
        try:
            outcome = drive()
        except Exception as error:
            if (report := report_in(ledger)) is not None:
                return report
            _refuse_taken_over(ledger, error)
            disturbed = (
                isinstance(error, TakenOverError) or others | turns.others() or _did_units(ledger, session, before)
            )
            if not left or not isinstance(error, _DISTURBED) or not disturbed:
                _name_other_runs(turns, error)
                raise
            logger.info("Another driver of run %s was quicker: %s", ledger.name, error)
            turns.sleep(_LOOK_SECONDS)
            continue
        if isinstance(outcome, Outcome) and left < _TRIES - 1:
            _count_again(outcome, session, before)
        return outcome
    raise AssertionError("the last try returns or raises")


def _refuse_taken_over(ledger: Ledger, error: Exception) -> None:
    try:
        refuse_taken_over(ledger)
    except LedgerError as cause:
        raise cause from error


def _name_other_runs(turns: Turns, error: Exception) -> None:
    """Add to an error of the target's who else writes to it, or has done so since this command began."""
    if not isinstance(error, WriteError):
        return
    mine, since = turns.ledger.folder, turns.driver.since.timestamp()
    for name in mine.parent().names():
        other = Ledger(mine.beside(name), turns.ledger.access)
        if name == mine.name:
            continue
        finished = other.folder.files.get_file_info(other.folder.at(REPORT)).mtime
        lines = [f"run {name} has finished"] if finished is not None and finished.timestamp() >= since else []
        if busy := drivers.at_work(other):
            lines = named(other, busy)
        error.details = (*error.details, *(f"meanwhile, {line}" for line in lines))


def _did_units(ledger: Ledger, session: str, before: set[int]) -> bool:
    """Whether another driver has done a unit since this command began, as far as the ledger can be read."""
    try:
        sealed = ledger.all_sealed()
    except LedgerError:
        return False
    return any(entry.session != session for unit, entry in sealed.items() if unit not in before)


def _count_again(outcome: Outcome, session: str, before: set[int]) -> None:
    """Count what was done before this command, and not before its last try."""
    outcome.done_before = len(before)
    outcome.rows_before = sum(entry.rows for entry in outcome.entries if entry.unit in before)
    outcome.done_elsewhere = sum(entry.session != session for entry in outcome.entries if entry.unit not in before)
