"""The state of the source that an unfinished run began with: the same command goes on to read it.

What was committed to the source meanwhile does not change what a run is about, and so does not keep it from its end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.engines.base import Engine
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import Source
from spark_infer.errors import SourceError, UnfinishedRunError
from spark_infer.job.units.fingerprint import (
    FILE_DIGITS,
    FILES,
    SOURCE_STATE,
    file_digest,
    job_key,
    source_state,
    version_in,
)
from spark_infer.job.units.run_plan import RunPlan
from spark_infer.job.units.runs import Runs, before_running, plan_in
from spark_infer.job.units.slices import slice_key, slice_of
from spark_infer.tables.bookmark import Span
from spark_infer.tables.check_target import find_target
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.access import access_of
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.listing import SourceFile
from spark_infer.tables.locate import locate
from spark_infer.tables.location import looking_at
from spark_infer.tables.table_lookup import TableLookup


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What a run began with.

    Attributes:
        run: The run's name.
        plan: What it planned.
        is_scored: Whether nothing of the source is left to read.
    """

    run: str
    plan: RunPlan
    is_scored: bool

    @property
    def scored_facts(self) -> dict[str, Any]:
        """What the run planned of the state of its source, which nothing depends on once all of it is scored."""
        return {name: self.plan.facts.get(name) for name in SOURCE_STATE} if self.is_scored else {}

    def reads(self, file: SourceFile) -> bool:
        """Whether a file of a table without versions is one that the run began with, and unchanged."""
        return file_digest(file) in self.digests

    @cached_property
    def digests(self) -> frozenset[str]:
        """Those of the files; none where they are not known."""
        text = self.plan.facts.get(FILES) or ""
        return frozenset(text[at : at + FILE_DIGITS] for at in range(0, len(text), FILE_DIGITS))


@before_running()
def find_pin(lookup: TableLookup, config: JobConfig, *, new_run: bool) -> Pin | None:
    """Return what the job's unfinished run began with; None where there is none, nothing to go on with, or a bookmark.

    Raises:
        LedgerRefusedError: A ledger is damaged, or may have been written by somebody else.
    """
    if new_run or config.source.version is not None or config.new_rows is not None:
        return None
    with looking_at(config.source):
        source = locate(lookup, config.source)
    if source is None:
        return None
    target, _ = find_target(lookup, config.target, source.format)
    table = target.storage()
    if table is None:
        return None
    part = slice_key(slice_of(config))
    runs = Runs.of(table, config.name, job_key(source), part, access_of(table, config.target))
    known = [] if runs.is_too_long else runs.as_before_slices().all()
    ledger = known[-1][2] if known else None
    if ledger is None or ledger.report() is not None or ledger.closed() or (plan := plan_in(ledger)) is None:
        return None
    done = len(ledger.done())
    held = done or at_work(ledger) or format_of(target.format).written.holds_some_of(table, ledger, plan.run_id)
    return Pin(run=ledger.name, plan=plan, is_scored=done == plan.units) if held else None


def open_pinned(engine: Engine[Any], config: JobConfig, span: Span, pin: Pin | None) -> Source:
    """Open the source of a job in the state that its run began with, or else as it is now.

    Where that state is gone and all of it is scored, no row is left to read: then the source has columns alone.

    Args:
        engine: Reads it.
        config: The job.
        span: Which rows the job reads.
        pin: What its run began with.

    Raises:
        SourceError: It cannot be read as asked for.
        UnfinishedRunError: That state is gone, and some of it is not scored.
    """
    try:
        return _open_as_then(engine, config, span, pin)
    except UnfinishedRunError:
        if pin is None or not pin.is_scored:
            raise
        source = engine.open_source(config.source, Span(reads=lambda file: False))
        return replace(source, snapshot=replace(source.snapshot, version=version_in(pin.plan.facts)))


def _open_as_then(engine: Engine[Any], config: JobConfig, span: Span, pin: Pin | None) -> Source:
    version = None if pin is None else version_in(pin.plan.facts)
    if pin is None or (version is None and not pin.digests):
        return engine.open_source(config.source, span)
    try:
        if version is not None:
            source = engine.open_source(config.source.model_copy(update={"version": version}), span)
        else:
            source = engine.open_source(config.source, replace(span, reads=pin.reads))
    except SourceError as error:
        raise _gone(pin, [error.what, *error.details]) from error
    now, then = source_state(source.snapshot), pin.plan.facts["source version"]
    if now != then:
        raise _gone(pin, [f"{then} then, {now} of it now"])
    return source


def refuse_other_reader(pin: Pin | None, source: Source, plane: Plane) -> None:
    """Refuse to have Spark read a folder of which a run began with some files alone.

    Raises:
        UnfinishedRunError: So it would be.
    """
    has_more = not source.snapshot.is_newest and source.snapshot.version is None
    if pin is not None and has_more and plane.name == "spark" and not pin.is_scored:
        raise _gone(pin, ["Spark reads all files of the folder, and some were added since"])


def pin_warnings(pin: Pin | None, source: Source) -> tuple[str, ...]:
    """Say that a run goes on with an older state of its source."""
    if pin is None:
        return ()
    state = pin.plan.facts["source version"]
    if source.snapshot.is_newest and source_state(source.snapshot) == state:
        return ()
    return (f"run {pin.run} goes on with the source as it was when it began ({state}), without what came since",)


def _gone(pin: Pin, details: list[str]) -> UnfinishedRunError:
    return UnfinishedRunError(
        f"The source is no longer as it was when the unfinished run {pin.run} began, and the run cannot go on.",
        details=[f"begun {pin.plan.started_at:%Y-%m-%d %H:%M} UTC", *details],
        next_step="restore it; or give the run up with --new-run (new_run=True), after which rows that it has "
        "published stay in the target.",
    )
