"""Other runs of a job: those that are at work, were begun at the same moment, or were given up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from spark_infer.errors import LedgerError, UnfinishedRunError
from spark_infer.tables.ledger.drivers import Driver, at_work
from spark_infer.tables.ledger.ledger import PLAN, Ledger

if TYPE_CHECKING:
    from spark_infer.job.units.runs import Runs


def named(ledger: Ledger, drivers: Iterable[Driver]) -> list[str]:
    """Name a run and its drivers, a line each; the run alone where none is at work any more."""
    return [f"run {ledger.name}: {driver}" for driver in drivers] or [f"run {ledger.name}, which has no driver now"]


def busy(ledger: Ledger, drivers: Iterable[Driver], differences: Sequence[str]) -> UnfinishedRunError:
    """The error of a command that meets another run of its job, with drivers at work."""
    return UnfinishedRunError(
        "Another run of this job is at work on the target at this moment, and planned something else.",
        details=[*named(ledger, drivers), *differences],
        next_step="let it finish, then run again; or end its process, and give the run up with --new-run "
        "(new_run=True): rows that it has published stay in the target.",
    )


def refuse_begun_beside(runs: Runs, mine: Ledger) -> None:
    """Refuse to begin a run where another one of the job was begun since this one was planned.

    Raises:
        LedgerError: So it is.
    """
    for other in _begun_beside(runs, mine):
        raise at_the_same_moment(other)


def keep_one(runs: Runs, mine: Ledger) -> None:
    """Have one of two runs go on that were begun in the same moment, so that neither saw the other.

    Raises:
        LedgerError: It is the other one.
    """
    for other in _begun_beside(runs, mine):
        if other.name < mine.name:
            mine.close(json.dumps({"by": other.name}).encode())
            raise at_the_same_moment(other)
        other.close(json.dumps({"by": mine.name}).encode())


def _begun_beside(runs: Runs, mine: Ledger) -> Iterator[Ledger]:
    """Other runs that were begun with the number of this one, for other rows."""
    for number, _, ledger in runs.all():
        if number == runs.number(mine) and ledger.name != mine.name and ledger.plan() is not None:
            yield ledger


def at_the_same_moment(other: Ledger) -> LedgerError:
    """The error of a run that gives way to another one, begun at the same moment."""
    return LedgerError(
        "Another command began another run of this job while this one was planned.",
        details=named(other, at_work(other)),
        next_step="let it finish, then run again.",
    )


def given_up(runs: Runs, ledger: Ledger) -> list[Ledger]:
    """Older runs of the job that were begun and given up, the oldest first; `sweep` removes them."""
    older = [each for number, _, each in runs.all() if number < runs.number(ledger)]
    return [each for each in older if each.closed() and each.plan() is not None and each.report() is None]


def sweep(runs: Runs, ledger: Ledger) -> None:
    """Remove what older runs of the job left that were given up or never begun; for a run that is finished."""
    for number, _, older in runs.all():
        if number < runs.number(ledger) and older.report() is None and (older.closed() or older.plan() is None):
            older.folder.files.delete_dir(older.folder.root)


def refuse_taken_over(ledger: Ledger) -> None:
    """Stop a driver whose run was given up by another, or whose ledger may be somebody else's by now.

    Raises:
        LedgerError: So it is; names the run that took its place, and its drivers.
    """
    ledger.check()
    closed = ledger.closed()
    if not closed and ledger.folder.kind(PLAN):
        return
    newer = [line for other in _newer(ledger) for line in named(other, at_work(other))]
    if closed or newer:
        raise LedgerError(
            f"The run {ledger.name} was given up: another command began a new run of this job.",
            details=newer,
            next_step="let that one finish; what this one has published stays in the target.",
        )
    raise LedgerError(
        f"The account of the run {ledger.name} is gone: somebody removed {ledger.folder.root} while it was at work.",
        next_step="start a new run with --new-run, after a look at what the target holds.",
    )


def _newer(ledger: Ledger) -> list[Ledger]:
    """The runs of the same job that began later, or at the same moment."""
    job, number = ledger.name.rsplit(".", 2)[:2]
    names = [name for name in ledger.folder.parent().names() if name.startswith(f"{job}.") and name != ledger.name]
    newer = [name for name in names if name.removeprefix(f"{job}.").partition(".")[0] >= number]
    return [Ledger(ledger.folder.beside(name), ledger.access) for name in newer]
