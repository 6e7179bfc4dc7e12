"""Unfinished runs of other slices of a job whose rows a new run would meet: one of the two has to wait or give way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spark_infer.config.write_modes import CREATE
from spark_infer.errors import UnfinishedRunError
from spark_infer.job.units.fingerprint import NEW_ROWS, QUARANTINED, Facts, mode_of
from spark_infer.job.units.repeats import reads_again
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import Runs
from spark_infer.job.units.slices import by_column, slice_named
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.ledger.ledger import JOURNAL, Ledger


def make_way(
    runs: Runs, facts: Facts, touched: Callable[[Ledger, RunPlan], bool], *, new_run: bool
) -> tuple[Ledger, ...]:
    """Return the runs that give way to a new one, because nothing of them is done.

    Args:
        runs: The runs of the new one's slice.
        facts: What decides its rows.
        touched: Whether the target holds anything of a run.
        new_run: Whether the user gives up what was done before.

    Raises:
        UnfinishedRunError: One of them is at work, or has something to lose.
    """
    giving_way = []
    for ledger, plan, why in overlapping(runs, facts):
        done = len(ledger.done())
        is_there = touched(ledger, plan)
        has_begun = bool(done or ledger.folder.kind(JOURNAL)) or is_there
        # Rows that left the quarantine in part would be scored once more.
        is_moving = bool(ledger.folder.kind(JOURNAL)) or (is_there and QUARANTINED in plan.facts)
        if is_moving or (not new_run and (has_begun or at_work(ledger))):
            raise _overlapping(ledger, plan, why, done)
        giving_way.append(ledger)
    return tuple(giving_way)


def overlapping(runs: Runs, facts: Facts) -> Iterator[tuple[Ledger, RunPlan, str]]:
    """Yield the unfinished runs of other slices whose rows meet those of a run, each with the reason."""
    for ledger, plan in runs.unfinished_of_others():
        if why := _why(plan.facts, facts):
            yield ledger, plan, why


def _why(before: Facts, now: Facts) -> str:
    """Say why two runs cannot be at work at once; empty where their rows are apart."""
    modes = [mode_of(facts) for facts in (before, now)]
    if any(mode.replaces_table for mode in modes):
        return "an overwrite replaces the rows of both"
    if not all(mode.takes_existing for mode in modes):
        return f"one of them makes the table, with mode {CREATE.name}"
    if all(mode.replaces_partitions for mode in modes):
        first, second = (by_column(facts["target settings"]["partitions"]) for facts in (before, now))
        apart = any(not {*first[column]} & {*second[column]} for column in first.keys() & second.keys())
        return "" if apart else "both replace the same table partitions"
    if any(mode.replaces_partitions for mode in modes):
        return "one of them replaces table partitions, to which the other may add rows"
    if NEW_ROWS in before and NEW_ROWS in now:
        return "both move the bookmark of the job"
    if QUARANTINED in before or QUARANTINED in now:
        return ""  # these are rows of finished runs, and were left out of what those added
    return "both read the same rows" if reads_again(before, now) or reads_again(now, before) else ""


def _overlapping(ledger: Ledger, plan: RunPlan, why: str, done: int) -> UnfinishedRunError:
    is_alive = bool(at_work(ledger))
    named = ", ".join(slice_named(plan.facts)) or "all rows"
    wait = "let it finish" if is_alive else "run its command again, which does what is left of it"
    return UnfinishedRunError(
        f"Another run of this job {'is at work' if is_alive else 'is unfinished'}, and its rows overlap with those of "
        f"this one: {why}.",
        details=[
            f"run {ledger.name} ({named}), begun {plan.started_at:%Y-%m-%d %H:%M} UTC",
            f"{done:,} of {plan.units:,} units are done",
        ],
        next_step=f"{wait}; or give it up with --new-run (new_run=True), after which rows that it has published stay "
        "in the target.",
    )
