"""Which run a command means: a new one, one that is unfinished, or one that is finished and need not be done again."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from spark_infer.errors import LedgerError, LedgerRefusedError, TargetError, UnfinishedRunError, WriteError
from spark_infer.job.units.fingerprint import NEW_ROWS, Facts, differences, fingerprint
from spark_infer.job.units.other_runs import busy
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.tables.durable import disk_of
from spark_infer.tables.ledger.access import Access
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.ledger.ledger import BELIEVED, JOURNAL, Ledger
from spark_infer.tables.ledger.signed import damaged, leads_outside, stamped_in
from spark_infer.tables.paths import stays_inside
from spark_infer.tables.storage import Storage

FOLDER, INSIDE = ".{}.spark_infer", ".spark_infer"
_MOST_NAME = 100
_DIGITS = 12
_MOST_BYTES = 255

StillThere = Callable[["RunPlan", Mapping[str, Any], bool], bool]
"""Whether the target still holds what a run reported; the last argument says whether it is the job's newest run."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where a job stands.

    Attributes:
        ledger: The run to begin or to go on with; None where the target's folder cannot keep a ledger.
        plan: What the run planned; None where it is to begin.
        done: How many of its units are sealed.
        report: The report of the run, where it is finished and its rows are in the target.
        replaces: An unfinished run that this one replaces.
    """

    ledger: Ledger
    plan: RunPlan | None = None
    done: int = 0
    report: Mapping[str, Any] | None = None
    replaces: Ledger | None = None


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of one job, in the hidden folder beside its target.

    Attributes:
        root: That folder.
        name: The job's name.
        key: What its runs have in common besides.
        access: Whose ledgers count; None where the file system shows no owners.
    """

    root: Storage
    name: str
    key: str
    access: Access | None = None

    @property
    def job(self) -> str:
        """What all of these runs are called, whichever of them it is."""
        return f"{self.name}.{self.key}"

    @property
    def is_too_long(self) -> bool:
        """Whether the folder's name is longer than disks allow; only beside a target that is still to be made."""
        return self.root.renames_atomically and len(os.fsencode(self.root.name)) > _MOST_BYTES

    @property
    def is_inside(self) -> bool:
        """Whether the ledgers lie inside the target, because nothing can be renamed from beside it into it."""
        return self.root.name == INSIDE

    @classmethod
    def of(cls, target: Storage, name: str, key: str, access: Access | None = None) -> Runs:
        """The runs of a job that writes into a folder.

        Raises:
            LedgerError: Somebody else may have made or changed them.
        """
        return cls(root=ledgers_of(target, access), name=name[:_MOST_NAME], key=key, access=access)

    def all(self) -> list[tuple[int, str, Ledger]]:
        """Number, fingerprint's beginning and ledger of each run, the oldest first."""
        pattern = re.compile(rf"{re.escape(self.name)}\.{self.key}\.(\d{{4,}})\.([0-9a-f]{{{_DIGITS}}})")
        matches = [match for name in self.root.names() if (match := pattern.fullmatch(name))]
        runs = ((int(match[1]), match[2], Ledger(self.root.below(match[0]), self.access)) for match in matches)
        return sorted(runs, key=lambda run: run[:2])

    def number(self, ledger: Ledger) -> int:
        """The number of one of the runs."""
        return int(ledger.name.rsplit(".", 2)[-2])

    def ledger(self, number: int, digest: str) -> Ledger:
        """The ledger of a run that may not be there yet."""
        return Ledger(self.root.below(f"{self.name}.{self.key}.{number:04}.{digest[:_DIGITS]}"), self.access)


@contextmanager
def before_running() -> Iterator[None]:
    """Make what is wrong with a ledger, or with a target's log, a refusal: nothing has run yet.

    Raises:
        LedgerRefusedError: In place of a LedgerError.
        TargetError: In place of a WriteError.
    """
    try:
        yield
    except LedgerError as error:
        raise LedgerRefusedError(error.what, details=error.details, next_step=error.next_step) from error
    except WriteError as error:
        raise TargetError(error.what, details=error.details, next_step=error.next_step) from error


def ledgers_of(target: Storage, access: Access | None) -> Storage:
    """The hidden folder of a target's ledgers, after a look at who may write there.

    Args:
        target: The target's folder.
        access: Whose ledgers count; None where the file system shows no owners.

    Raises:
        LedgerError: Somebody else may have made or changed them.
    """
    root = _place(target)
    if access is not None:
        access.check(root.root, BELIEVED)
    return root


def _place(target: Storage) -> Storage:
    """Beside the target, or inside where nothing can be renamed into it."""
    beside, inside = target.beside(FOLDER.format(target.name)), target.below(INSIDE)
    if not target.kind():
        return beside
    if target.kind(INSIDE):
        return inside
    fits = len(os.fsencode(beside.name)) <= _MOST_BYTES
    if fits and beside.kind():
        return beside
    return inside if disk_of(target).stands_alone(target.root) or not fits else beside


def find_run(
    runs: Runs,
    facts: Facts,
    still_there: StillThere,
    *,
    target_exists: bool,
    new_run: bool,
    touched: Callable[[Ledger, RunPlan], bool] = lambda ledger, plan: True,
) -> Found:
    """Say which run a command means; changes nothing.

    Args:
        runs: The runs of its job.
        facts: What decides its rows.
        still_there: Looks at the target.
        target_exists: Whether there is a target at all.
        new_run: Whether the user wants a new run whatever was done before.
        touched: Whether the target holds anything of a run that was about to put its rows in their place.

    Raises:
        UnfinishedRunError: An unfinished run planned something else.
        LedgerError: The account of a run is damaged.
    """
    digest, known = fingerprint(facts), runs.all()
    newest = known[-1] if known else None
    begin = Found(ledger=runs.ledger(newest[0] + 1 if newest else 1, digest))
    if newest is None:
        return begin
    number, _, ledger = newest
    if ledger.report() is None:
        return _unfinished(ledger, digest, facts, begin, target_exists=target_exists, new_run=new_run, touched=touched)
    if new_run or not target_exists or NEW_ROWS in facts:  # the bookmark says what is done, and not the ledger
        return begin
    return _finished(known, digest, still_there, number) or begin


def plan_in(ledger: Ledger) -> RunPlan | None:
    """What a run planned; None where it was never begun.

    Raises:
        LedgerError: Its plan is damaged.
    """
    text = ledger.plan()
    return None if text is None else RunPlan.from_json(text, f"{ledger.folder.root}/plan.json")


def report_in(ledger: Ledger) -> dict[str, Any] | None:
    """What a run reported; None where it is not finished.

    Raises:
        LedgerError: Its report is damaged, or names a file outside the target.
    """
    text = ledger.report()
    if text is None:
        return None
    where = f"{ledger.folder.root}/report.json"
    report = stamped_in(text, where)
    paths = report.get("some_files") or []
    if not isinstance(paths, list):
        raise damaged(where)
    if not all(stays_inside(str(path)) for path in paths):
        raise leads_outside(where)
    return report


def _unfinished(
    ledger: Ledger,
    digest: str,
    facts: Facts,
    begin: Found,
    *,
    target_exists: bool,
    new_run: bool,
    touched: Callable[[Ledger, RunPlan], bool],
) -> Found:
    plan = plan_in(ledger)
    done = len(ledger.done())
    if plan is None and done:
        raise damaged(f"{ledger.folder.root}, which has units and no plan")
    if plan is None:  # killed before it was begun
        return Found(ledger=ledger) if ledger.name.endswith(digest[:_DIGITS]) else begin
    if plan.fingerprint == digest and not new_run:
        if ledger.closed():
            return begin
        return Found(ledger=ledger, plan=plan, done=done)
    is_publishing = bool(ledger.folder.kind(JOURNAL))
    if (is_publishing or not new_run) and (drivers := at_work(ledger)):
        raise busy(ledger, drivers, differences(plan.facts, facts))
    if is_publishing and touched(ledger, plan):
        raise UnfinishedRunError(
            "A run of this job was killed while it put its rows in their place: the target may hold a part of them.",
            details=[f"run {ledger.name}", *differences(plan.facts, facts)],
            next_step="run the command of that run again, without --new-run: it only moves what is left.",
        )
    if done and not new_run:
        gone = ["the target is gone, which was there then"] if plan.write["exists"] and not target_exists else []
        raise UnfinishedRunError(
            f"An unfinished run of this job has scored {done:,} of {plan.units:,} units and planned something else.",
            details=[
                f"run {ledger.name}, begun {plan.started_at:%Y-%m-%d %H:%M} UTC",
                *gone,
                *differences(plan.facts, facts),
            ],
            next_step="go back to what it planned, and it goes on; or give it up with --new-run (new_run=True), after "
            "which rows that it has published stay in the target.",
        )
    return Found(ledger=begin.ledger, replaces=ledger)


def _finished(known: list[tuple[int, str, Ledger]], digest: str, still_there: StillThere, newest: int) -> Found | None:
    for number, start, ledger in reversed(known):
        if start != digest[:_DIGITS]:
            continue
        plan, report = plan_in(ledger), report_in(ledger)
        if plan is None or report is None or plan.fingerprint != digest:
            continue
        if still_there(plan, report, number == newest):
            return Found(ledger=ledger, plan=plan, done=plan.units, report=report)
        return None
    return None
