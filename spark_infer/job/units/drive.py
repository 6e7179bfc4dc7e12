"""Do what is left of a run: score its units, seal each, publish them in order. Knows no engine and no table format."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from pyarrow import ArrowException

from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_run import Score, Scored
from spark_infer.errors import StoppedError
from spark_infer.job.row_count import too_few
from spark_infer.job.units.other_runs import refuse_taken_over, sweep
from spark_infer.job.units.runs import Runs, before_running
from spark_infer.job.units.stopped import how_far
from spark_infer.job.units.stored_rows import discard_stored
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.ledger.drivers import DRIVERS, TURNS
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import ENDS, FILES, JOURNAL, LIST, SUMMARY, UNITS, Ledger
from spark_infer.tables.publishing.move_files import OLD, READY, STAGED
from spark_infer.tables.publishing.work import Ended, Publisher
from spark_infer.tables.storage import Storage

logger = logging.getLogger(__name__)

_MOST_LISTS = 30
"""How many of the newest runs keep the lists of the files that they have read."""


class Check(Protocol):
    """Sees that a unit's files hold its rows, and has the disk keep them."""

    def __call__(self, folder: Storage, scored: Scored) -> None:
        """Check, or raise."""


@dataclass(kw_only=True)
class Outcome:
    """What a command did of a run.

    Attributes:
        entries: The entries of all units, in order.
        done_before: Units that were sealed before this command.
        rows_before: Their rows.
        done_elsewhere: Units that another driver sealed meanwhile.
        versions: The Delta versions that this command made.
        ended: What the end of publishing came to.
        report: What another driver reported of the run, which it has published and finished; None where this one has.
    """

    entries: list[Sealed] = field(default_factory=list)
    done_before: int = 0
    rows_before: int = 0
    done_elsewhere: int = 0
    versions: list[int] = field(default_factory=list)
    ended: Ended = field(default_factory=Ended)
    report: Mapping[str, Any] | None = None

    def made(self, version: int | None) -> None:
        """Take a version that this command may have made."""
        if version is not None:
            self.versions.append(version)


def drive(
    ledger: Ledger,
    units: Sequence[Unit],
    publisher: Publisher,
    *,
    folder: Callable[[str], Storage],
    score: Score,
    check: Check,
    session: str,
    turn: Callable[[], Mapping[str, Any] | None],
    begins: Callable[[], bool] = lambda: True,
    least_rows: int = 0,
) -> Outcome | Mapping[str, Any]:
    """Bring a run to its end.

    A unit is done when its entry is in the ledger, which only one driver can make; from then on its files are the
    unit's. Whatever is killed when, the same call later goes on from there.

    Args:
        ledger: The run's account.
        units: All units of the run.
        publisher: Makes sealed files part of the target.
        folder: Where the tasks of a command of this name write.
        score: Has the engine score units.
        check: Looks at a unit's files before it is sealed.
        session: The name of this command.
        turn: Waits until no other driver does what one at a time does; the run's report where another has finished it.
        begins: Whether there is time to begin one more unit; asked before each.
        least_rows: How many rows must be scored before any of them is published.

    Returns:
        What was done; or the report of the run, where another driver has done all of it.

    Raises:
        RunError: A unit failed, or could not be published; those sealed before stay. Or there were too few rows.
        StoppedError: There was no more time; all that was begun is sealed, and published as far as the mode allows.
        LedgerRefusedError: An entry of an earlier command is damaged, or names a path outside the run's folders.
        LedgerError: Another command gave the run up.
    """
    # There is nothing to share in a run of one unit.
    if len(units) == 1 and (report := turn()) is not None:
        return report
    with before_running():
        sealed = ledger.all_sealed()
    outcome = Outcome(done_before=len(sealed), rows_before=sum(entry.rows for entry in sealed.values()))
    order = _InOrder(ledger, publisher, outcome, least_rows)
    order.go_on(sealed)
    pending = [unit for unit in units if unit.ordinal not in sealed]
    wanted = _Wanted(ledger, begins)
    signals = this_process().stop_signals
    try:
        if pending:
            into = folder(session)
            ledger.make_folder(into)
            with closing(score(pending, into, session, wanted)) as scored:
                for each in scored:
                    with signals.held_back():
                        sealed[each.unit.ordinal] = _seal(ledger, each, into, session, check, outcome)
                        order.go_on(sealed)
            late = wanted.late()
            for unit in pending:  # those that another driver did
                if unit.ordinal not in sealed and unit.ordinal not in late:
                    sealed[unit.ordinal] = ledger.sealed(unit.ordinal)
                    outcome.done_elsewhere += 1
            order.go_on(sealed)
            if late:
                raise StoppedError.by_time(how_far(sealed, len(units), one_by_one=publisher.one_by_one))
    except BaseException:
        _tidy(ledger, folder(session), session)
        raise
    outcome.entries = [sealed[unit.ordinal] for unit in units]
    _finish(ledger, publisher, outcome, turn, least_rows)
    return outcome


def _finish(
    ledger: Ledger,
    publisher: Publisher,
    outcome: Outcome,
    turn: Callable[[], Mapping[str, Any] | None],
    least_rows: int,
) -> None:
    """Publish what is left of a run that is scored, when it is this driver's turn."""
    if (rows := sum(entry.rows for entry in outcome.entries)) < least_rows:
        raise too_few(rows, least_rows)
    this_process().failpoints.reach("finish")
    outcome.report = turn()
    if outcome.report is not None:
        return
    refuse_taken_over(ledger)
    with this_process().stop_signals.held_back():
        outcome.ended = publisher.finish(outcome.entries)
    outcome.made(outcome.ended.version)
    this_process().failpoints.reach("published")


def clean(runs: Runs, ledger: Ledger) -> None:
    """Remove what a finished run needs no more, its plan and its report apart, and what older runs left."""
    this_process().failpoints.reach("clean")
    try:
        sweep(runs, ledger)
        ready = [name for name in ledger.folder.names() if name.startswith(READY)]
        ledger.discard((FILES, STAGED, OLD, UNITS, SUMMARY, DRIVERS, TURNS, ENDS, *ready))
        for name in ledger.folder.names():
            if name.startswith("tasks.") or name == JOURNAL:
                ledger.folder.files.delete_file(ledger.folder.at(name))
            elif name.startswith(LIST):
                _remove_oldest_list(runs)
        discard_stored(runs, ledger)
    except (ArrowException, OSError) as error:
        logger.warning("Could not clean %s: %s", ledger.folder.root, error)


def clean_newest(runs: Runs) -> None:
    """Remove what a command left that was killed when it had finished the newest run; where nothing is to be done."""
    for _, _, ledger in runs.all()[-1:]:
        if ledger.report() is not None:
            clean(runs, ledger)


def _remove_oldest_list(runs: Runs) -> None:
    """Remove the list of files that the last of the newest runs does not need, should the target be restored."""
    for _, _, older in runs.all()[:-_MOST_LISTS][-1:]:
        for name in older.folder.names():
            if name.startswith(LIST):
                older.folder.files.delete_file(older.folder.at(name))


class _Wanted:
    """Says whether a unit is to be scored: there is time, and nobody has done it."""

    def __init__(self, ledger: Ledger, begins: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._begins = begins
        self._late: set[int] = set()

    def __call__(self, unit: Unit) -> bool:
        """Whether it is; from any thread."""
        if not self._begins():
            self._late.add(unit.ordinal)
            return False
        return not self._ledger.is_sealed(unit.ordinal)

    def late(self) -> set[int]:
        """The units that there was no time for, and that nobody else has done."""
        return self._late.difference(self._ledger.done()) if self._late else set()


class _InOrder:
    """Publishes sealed units one after the other, as far as there is no gap."""

    def __init__(self, ledger: Ledger, publisher: Publisher, outcome: Outcome, least_rows: int) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._outcome = outcome
        self._least_rows = least_rows
        self._next = 0

    def go_on(self, sealed: Mapping[int, Sealed]) -> None:
        """Publish what can be."""
        if self._least_rows and sum(entry.rows for entry in sealed.values()) < self._least_rows:
            return
        while self._publisher.one_by_one and self._next in sealed:
            refuse_taken_over(self._ledger)
            this_process().failpoints.reach("publish")
            self._outcome.made(self._publisher.publish(sealed[self._next]))
            self._next += 1


def _seal(ledger: Ledger, scored: Scored, into: Storage, session: str, check: Check, outcome: Outcome) -> Sealed:
    this_process().failpoints.reach("scored")
    check(into, scored)
    this_process().failpoints.reach("seal")
    refuse_taken_over(ledger)
    entry = Sealed(
        unit=scored.unit.ordinal,
        session=session,
        files=tuple(file for file in scored.files if file.is_scored),
        quarantined=tuple(file for file in scored.files if file.aside),
        parts=tuple(file for file in scored.files if file.part),
        cached=tuple(file for file in scored.files if file.cached),
        stats=tuple(scored.stats),
        seconds=scored.seconds,
    )
    if ledger.seal(entry):
        this_process().failpoints.reach("sealed")
        return entry
    there = ledger.sealed(entry.unit)
    if there.session != session:
        outcome.done_elsewhere += 1
        _remove(into, [file.path for file in scored.files])
    return there


def _tidy(ledger: Ledger, folder: Storage, session: str) -> None:
    """After a failure, remove what this command wrote and nobody counts on."""
    try:
        sealed = ledger.all_sealed().values()
        ours = {file.path for entry in sealed if entry.session == session for file in entry.every_file}
        _remove(folder, [path for path in folder.every_path() if session in path and path not in ours])
    except Exception as error:  # the first failure is the one to tell of
        logger.warning("Files of the failed run could not be removed from %s: %s", folder.root, error)


def _remove(folder: Storage, paths: Sequence[str]) -> None:
    for path in paths:
        try:
            folder.files.delete_file(folder.at(path))
        except (ArrowException, OSError) as error:
            logger.warning("Could not remove %s: %s", folder.at(path), error)
