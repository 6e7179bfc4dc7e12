"""A backfill: one run of a job for each value of a parameter, one after the other or some at once."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.config.write_modes import MODES
from spark_infer.errors import ConfigError, PlanError, RunError, SparkInferError
from spark_infer.job.choose_engine import engine_of
from spark_infer.job.prepare import prepare_job
from spark_infer.job.run import run_job
from spark_infer.job.session import find_model, hiding_secrets, keep_session
from spark_infer.observe.report import Report
from spark_infer.printable import counted, printable_lines
from spark_infer.spark.starting_session import started

logger = logging.getLogger(__name__)

FAILED_EXIT_CODE = 4


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What became of one run of a backfill.

    Attributes:
        named: The parameter and its value: ``day=2026-11-28``.
        state: ``done``, ``done before``, ``refused``, ``failed`` or ``not begun``.
        report: What the run did; None where it did not come to its end.
        error: Why it did not.
    """

    named: str
    state: str
    report: Report | None = None
    error: SparkInferError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as values that JSON can hold."""
        return {
            "params": self.named,
            "state": self.state,
            "report": None if self.report is None else self.report.to_dict(),
            "error": None if self.error is None else str(self.error),
        }

    def __str__(self) -> str:
        if self.report is not None:
            seconds = "" if self.report.already_done else f" in {self.report.seconds['total']:,.2f} s"
            return f"{self.named}  {self.state:<11}  {counted(self.report.rows_scored, 'row')}{seconds}"
        return f"{self.named}  {self.state:<11}  {'' if self.error is None else self.error.what}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Backfilled:
    """What became of a backfill, in the order of its values."""

    job: str
    attempts: Sequence[Attempt] = field(default_factory=tuple)

    @property
    def exit_code(self) -> int:
        """0 where all runs are done; that of the errors where they have one in common, else 4."""
        codes = {each.error.exit_code for each in self.attempts if each.error is not None}
        return (codes.pop() if len(codes) == 1 else FAILED_EXIT_CODE) if codes else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as values that JSON can hold."""
        return {"job": self.job, "exit_code": self.exit_code, "runs": [each.to_dict() for each in self.attempts]}

    def __str__(self) -> str:
        return printable_lines(self._lines())

    def _lines(self) -> Iterator[str]:
        states = [each.state for each in self.attempts]
        counts = ", ".join(f"{states.count(state):,} {state}" for state in dict.fromkeys(states))
        yield f"{self.job}: {counted(len(states), 'run')}, {counts}"
        yield ""
        yield from (f"  {each}" for each in self.attempts)
        warned = [(each.named, text) for each in self.attempts if each.report for text in each.report.warnings]
        if warned:
            yield ""
            yield "warnings"
            yield from (f"  ! {named}: {text}" for named, text in warned)
        for each in self.attempts:
            if each.error is not None:
                yield ""
                yield from f"{each.named}: {each.error}".splitlines()


def backfill(
    jobs: Mapping[str, JobConfig],
    *,
    parallel: int = 1,
    stop_on_error: bool = False,
    new_run: bool = False,
    log_file: Path | None = None,
    on_end: Callable[[Attempt], None] = lambda attempt: None,
) -> Backfilled:
    """Run jobs that differ in a parameter; what one comes to does not concern the others.

    Args:
        jobs: The jobs, by the parameter and its value; in this order they begin.
        parallel: How many run at once.
        stop_on_error: Whether none begins any more after one has failed.
        new_run: Whether each begins a new run whatever was done before.
        log_file: Where Spark writes from now on; None leaves it on the screen.
        on_end: Called with each as it ends, by one thread at a time.

    Raises:
        ConfigError: It is a stream; or each run would replace the table that another has written, or find it there.
    """
    first = next(iter(jobs.values()))
    if first.trigger is not None:
        raise ConfigError(
            "A stream has no backfill: it scores what its source has, and then what comes.",
            next_step="leave --backfill out; or `trigger` and `checkpoint` (--set trigger= --set checkpoint=).",
        )
    _refuse_one_table(list(jobs.values()))
    found: dict[str, Attempt] = {}
    with ExitStack() as at_end:
        session = None
        if first.engine == "spark":
            find_model(first)
            session = at_end.enter_context(keep_session(first, log_file=log_file))
        runs = _Runs(session, parallel, stop_on_error=stop_on_error, new_run=new_run)
        for attempt in map(runs.run, jobs.items()) if parallel == 1 else _at_once(runs, jobs, parallel):
            found[attempt.named] = attempt
            on_end(attempt)
    return Backfilled(job=first.name, attempts=tuple(found[named] for named in jobs))


def _refuse_one_table(jobs: Sequence[JobConfig]) -> None:
    mode = MODES[jobs[0].target.mode]
    if len({job.target.name for job in jobs}) < len(jobs) and (mode.replaces_table or not mode.takes_existing):
        raise ConfigError(
            f"All runs of this backfill write to one table, in mode {mode.name}: only one of them would stay.",
            next_step="use `append`, `merge` or `overwrite_partitions`; or name the parameter in the target's path.",
        )


def _at_once(runs: _Runs, jobs: Mapping[str, JobConfig], parallel: int) -> Iterator[Attempt]:
    with ThreadPoolExecutor(parallel, thread_name_prefix="backfill") as pool:
        try:
            yield from (
                future.result() for future in as_completed([pool.submit(runs.run, job) for job in jobs.items()])
            )
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for runs that have not begun


class _Runs:
    """Runs jobs in threads; they are planned one after the other, since a plan may load the model in this process."""

    def __init__(self, session: Any, parallel: int, *, stop_on_error: bool, new_run: bool) -> None:
        self._session = session
        self._parallel, self._stop_on_error, self._new_run = parallel, stop_on_error, new_run
        self._planning, self._stopped = threading.Lock(), threading.Event()

    def run(self, job: tuple[str, JobConfig]) -> Attempt:
        """Run a job, unless one has failed and no further one is to begin."""
        named, config = job
        if self._stopped.is_set():
            return Attempt(named=named, state="not begun")
        try:
            with hiding_secrets(config):
                with self._planning:
                    engine = engine_of(config, lambda: started(self._session), shared_by=self._parallel, runs=True)
                    prepared = prepare_job(engine, config, new_run=self._new_run)
                report = run_job(prepared)
        except SparkInferError as error:
            return self._ended(named, error)
        except Exception as error:
            logger.error("%s: unexpected\n%s", named, config.hide("".join(traceback.format_exception(error))))
            name = type(error).__name__
            return self._ended(named, RunError(f"unexpected {name}, which the log describes", next_step="report it."))
        return Attempt(named=named, state="done before" if report.already_done else "done", report=report)

    def _ended(self, named: str, error: SparkInferError) -> Attempt:
        if self._stop_on_error:
            self._stopped.set()
        return Attempt(named=named, state="refused" if isinstance(error, PlanError) else "failed", error=error)
