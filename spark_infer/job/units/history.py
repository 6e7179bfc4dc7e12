"""The runs that wrote, or are writing, into a target: what `spark-infer status` and `report` show."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.config.job_params import names_in
from spark_infer.config.partition_values import partitions_named
from spark_infer.core.stats import TaskTotals
from spark_infer.errors import PlanError, SourceError, TargetError
from spark_infer.job.units.fingerprint import QUARANTINED
from spark_infer.job.units.new_rows import bookmark_of
from spark_infer.job.units.quarantined_rows import quarantine_table
from spark_infer.job.units.runs import before_running, ledgers_of, plan_in, report_in
from spark_infer.observe.report import Report
from spark_infer.observe.wording import named_values
from spark_infer.printable import printable
from spark_infer.tables.bookmark import Bookmark
from spark_infer.tables.check_target import find_target
from spark_infer.tables.ledger.access import access_of
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.ledger.ends import End, last_end
from spark_infer.tables.ledger.ledger import JOURNAL, Ledger
from spark_infer.tables.table_lookup import TableLookup

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A run as its ledger tells of it.

    Attributes:
        run: Its name.
        state: ``finished``, ``unfinished``, ``publishing`` (killed while it put its rows in their place, or doing so
            now) or ``given up``.
        started_at: When it began, UTC.
        job_params: Parameters of the job, such as the day.
        model: The model's name and version.
        source: What it reads, and which state of it.
        partition_filter: Which table partitions of the source, a condition each.
        partitions: Which table partitions of the target it may replace, a condition each.
        units: Its units.
        units_done: Those that are scored.
        rows: Rows that it wrote; of a run that is not finished, the rows of the units that are scored.
        bad_rows: Rows that the model failed for, likewise.
        rows_quarantined: Those of them that went to a table of their own.
        target_version: The Delta version that it made last.
        drivers: The commands that are at work on it, where they run and since when.
        last_end: How the last command of a run ended that is not finished; None where one is at work.
        report: What it reported; None where it is not finished.
    """

    run: str
    state: str
    started_at: datetime
    job_params: Mapping[str, str]
    model: str
    source: str
    partition_filter: tuple[str, ...]
    partitions: tuple[str, ...]
    units: int
    units_done: int
    rows: int
    bad_rows: int
    rows_quarantined: int
    target_version: int | None
    drivers: tuple[str, ...]
    last_end: End | None
    report: Mapping[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as values that JSON can hold, without the report."""
        facts = {**vars(self), "started_at": self.started_at.isoformat()}
        facts["last_end"] = self.last_end and {"at": self.last_end.at.isoformat(), "why": self.last_end.why}
        facts |= {name: list(facts[name]) for name in ("partition_filter", "partitions", "drivers")}
        return {name: value for name, value in facts.items() if name != "report"}

    def __str__(self) -> str:
        version = "" if self.target_version is None else f", version {self.target_version}"
        without = self.bad_rows - self.rows_quarantined
        bad = f", {self.rows_quarantined:,} quarantined" if self.rows_quarantined else ""
        bad += f", {without:,} without a prediction" if without > 0 else ""
        done = f"{self.units_done:,} of {self.units:,} units, {self.rows:,} rows{bad}{version}"
        what = ", ".join([self.model, self.source, *self.partition_filter])
        where = f"  into {', '.join(self.partitions)}" if self.partitions else ""
        by = f"  {'; '.join(self.drivers)}" if self.drivers else ""
        by += f"  {self.last_end}" if self.last_end else ""
        name = "  ".join([self.run, *named_values(self.job_params)])
        line = f"{name}  {self.state}  {self.started_at:%Y-%m-%d %H:%M:%S} UTC  {what}{where}  {done}{by}"
        return printable(line)


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What a job has come to.

    Attributes:
        runs: Its target's, the oldest first.
        bookmark: Up to which state of the source the target holds predictions; None where it has none.
        quarantine_rows: How many rows are in its quarantine; None where it has none, or counting them would take long.
    """

    runs: Sequence[RunState]
    bookmark: Bookmark | None
    quarantine_rows: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        mark = self.bookmark
        return {
            "runs": [run.to_dict() for run in self.runs],
            "bookmark": None if mark is None else {"source_version": mark.source_version, "model": mark.model},
            "quarantine_rows": self.quarantine_rows,
        }


def job_state(config: JobConfig, lookup: TableLookup, params: Mapping[str, str]) -> JobState:
    """Look at the runs of a job, its bookmark and its quarantine; see `history`."""
    return JobState(
        runs=history(config, lookup, params),
        bookmark=bookmark_of(lookup, config),
        quarantine_rows=None if config.quarantine is None else _rows_in_quarantine(config, lookup),
    )


def _rows_in_quarantine(config: JobConfig, lookup: TableLookup) -> int | None:
    try:
        found = quarantine_table(lookup, config)
    except PlanError as error:  # the runs are to be seen all the same
        logger.warning("The quarantine cannot be looked at: %s", error)
        return None
    return 0 if found is None else found.rows


@before_running()
def history(config: JobConfig, lookup: TableLookup, params: Mapping[str, str] | None = None) -> list[RunState]:
    """Return the runs of a job's target, the oldest first; reads the ledgers beside it, and nothing else.

    Args:
        config: The job; only its target is looked at.
        lookup: What the engine knows of tables; a target in a catalog needs one that has it.
        params: Parameters of the runs to return; all of them without any.

    Raises:
        TargetError: The target's folder cannot be reached, or its name needs a parameter that has no value.
        LedgerRefusedError: A ledger is damaged, or may have been written by somebody else.
    """
    if names := list(names_in(config.target.name)):
        raise TargetError(
            f"The target is another one for each {names[0]}.", next_step=f"say which: --param {names[0]}=…"
        )
    try:
        location, _ = find_target(lookup, config.target, config.target.format or "delta")
    except SourceError as error:
        raise TargetError(error.what, details=error.details, next_step=error.next_step) from error
    table = location.storage()
    if table is None:
        raise TargetError(
            f"This process cannot reach the folder of {location.name}.", next_step="ask where the job runs."
        )
    access = access_of(table, config.target)
    root = ledgers_of(table, access)
    states = [state for name in root.names() if (state := _state(Ledger(root.below(name), access))) is not None]
    states = [state for state in states if (params or {}).items() <= state.job_params.items()]
    return sorted(states, key=lambda state: (state.started_at, state.run))


def newest_report(states: Sequence[RunState], run: str | None = None) -> Report:
    """Return the report of the newest finished run, or of one by name.

    Raises:
        TargetError: There is none.
    """
    found = [state for state in states if state.report is not None and run in (None, state.run)]
    if not found:
        unfinished = any(state.state in ("unfinished", "publishing") for state in states)
        raise TargetError(
            "No finished run of this target." if run is None else f"No finished run {run} of this target.",
            details=[f"{state.run}: {state.state}" for state in states],
            next_step="run `spark-infer run`, which does what is left of the unfinished one."
            if unfinished
            else ("name one of these." if states else "run the job first; its report is there when it is finished."),
        )
    return Report.of_dict(found[-1].report or {})


def _state(ledger: Ledger) -> RunState | None:
    plan, report = plan_in(ledger), report_in(ledger)
    if plan is None:
        return None
    done = plan.units if report is not None else len(ledger.done())
    again = f", {QUARANTINED}" if QUARANTINED in plan.facts else ""
    return RunState(
        run=ledger.name,
        state=_name(ledger, finished=report is not None),
        started_at=plan.started_at,
        job_params=plan.facts.get("params", {}),
        model=plan.facts["model"],
        source=f"{plan.facts['source']}, {plan.facts['source version']}{again}",
        partition_filter=partitions_named(plan.facts["partition_filter"]),
        partitions=partitions_named(plan.facts["target settings"]["partitions"]),
        units=plan.units,
        units_done=done,
        **_rows(ledger, report),
        target_version=None if report is None else report.get("target_version"),
        drivers=() if report is not None else tuple(map(str, at_work(ledger))),
        last_end=None if report is not None else last_end(ledger),
        report=report,
    )


def _rows(ledger: Ledger, report: Mapping[str, Any] | None) -> dict[str, int]:
    """Count the rows of a run by what became of them; reports of older versions have no bad rows."""
    if report is not None:
        bad, aside = (report.get(name, 0) for name in ("bad_rows", "rows_quarantined"))
        return {"rows": report["rows_scored"], "bad_rows": bad, "rows_quarantined": aside}
    sealed = ledger.all_sealed().values()
    return {
        "rows": sum(each.rows for each in sealed),
        "bad_rows": TaskTotals.of_tasks([task for each in sealed for task in each.stats]).bad_rows,
        "rows_quarantined": sum(file.rows for each in sealed for file in each.quarantined),
    }


def _name(ledger: Ledger, *, finished: bool) -> str:
    if finished:
        return "finished"
    if ledger.closed():
        return "given up"
    return "publishing" if ledger.folder.kind(JOURNAL) else "unfinished"
