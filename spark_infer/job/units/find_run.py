"""Which run a command means: a new one, one that is unfinished, or one that is finished and need not be done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spark_infer.errors import UnfinishedRunError
from spark_infer.job.units.fingerprint import (
    FILES,
    NEW_ROWS,
    SOURCE_STATE,
    Facts,
    differences,
    fingerprint,
    mode_of,
    stored_session,
)
from spark_infer.job.units.other_runs import busy
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import FINGERPRINT_DIGITS, Runs, plan_in, report_in
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.ledger.ledger import JOURNAL, Ledger
from spark_infer.tables.ledger.signed import damaged

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
        replaces: Unfinished runs that this one replaces.
        note: What the reader should know of a run that is finished.
    """

    ledger: Ledger
    plan: RunPlan | None = None
    done: int = 0
    report: Mapping[str, Any] | None = None
    replaces: tuple[Ledger, ...] = ()
    note: str = ""


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
    return _finished(known, digest, still_there, number) or _finished_before(ledger, facts, still_there) or begin


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
        return Found(ledger=ledger) if ledger.name.endswith(digest[:FINGERPRINT_DIGITS]) else begin
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
    if ledger.closed():  # and no other has begun
        return begin
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
    return Found(ledger=begin.ledger, replaces=(ledger,))


def _finished(known: list[tuple[int, str, Ledger]], digest: str, still_there: StillThere, newest: int) -> Found | None:
    for number, start, ledger in reversed(known):
        if start != digest[:FINGERPRINT_DIGITS]:
            continue
        plan, report = plan_in(ledger), report_in(ledger)
        if plan is None or report is None or plan.fingerprint != digest:
            continue
        if still_there(plan, report, number == newest):
            return Found(ledger=ledger, plan=plan, done=plan.units, report=report)
        return None
    return None


def _finished_before(ledger: Ledger, facts: Facts, still_there: StillThere) -> Found | None:
    """The newest run of a job's parameters, where only the state of its source is another one now.

    Commits for other parameters do not concern it. Rows that came for its own are scored by a mode that replaces the
    older ones; an append does not add to what is finished.
    """
    plan, report = plan_in(ledger), report_in(ledger)
    if plan is None or report is None or not facts.get("params"):
        return None
    if {name for name in {**plan.facts, **facts} if plan.facts.get(name) != facts.get(name)}.difference(SOURCE_STATE):
        return None
    is_same = facts[FILES] is not None and plan.facts[FILES] == facts[FILES]
    if not (is_same or mode_of(facts).adds_only) or not still_there(plan, report, True):
        return None
    read, there = (each["source version"] for each in (plan.facts, facts))
    note = (
        f"run {ledger.name} is finished, and the source was changed since: it read {read}, now {there}; rows that came "
        "late are not scored, as they are with incremental.by"
    )
    if stored_session(plan.facts):
        note = f"run {ledger.name} is finished: it scored what {facts['source']} gave then, which is not read again"
    return Found(ledger=ledger, plan=plan, done=plan.units, report=report, note="" if is_same else note)
