"""The rows of a source that only Spark can read, stored once beside the target: which of them a command goes on with.

They lie in a folder beside the ledgers of their job's slice, which is a ledger itself: each time that rows are stored
is a unit, sealed when all of them are there. A run names the session that stored its rows; when it is finished they are
removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from pyarrow import ArrowException

from spark_infer.config import JobConfig
from spark_infer.errors import LedgerError, TargetError
from spark_infer.job.units.fingerprint import digest, job_key, stored_session
from spark_infer.job.units.runs import Runs, before_running, plan_in
from spark_infer.job.units.slices import slice_key, slice_of
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.check_target import find_target
from spark_infer.tables.durable import disk_of
from spark_infer.tables.ledger.access import access_of
from spark_infer.tables.ledger.drivers import at_work
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import FILES, UNITS, Ledger
from spark_infer.tables.locate import stored_location
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5


@before_running()
def with_stored_rows(lookup: TableLookup, config: JobConfig, *, new_run: bool) -> tuple[JobConfig, tuple[str, ...]]:
    """Return a job that reads rows which an earlier command has stored for it, and what the reader should know of them.

    The job comes back as it is where its source is read where it is, or where no stored rows wait for a run.

    Args:
        lookup: What the engine knows of tables.
        config: The job.
        new_run: Whether the user wants a new run whatever was done before, and so rows of now.

    Raises:
        TargetError: This process cannot reach the target's folder, beside which rows are stored.
        LedgerRefusedError: A ledger is damaged, or may have been written by somebody else.
    """
    if not config.source.is_unstored:
        return config, ()
    runs = stored_runs(lookup, config)
    repeats = config.target.write_mode.takes_existing and not config.target.write_mode.adds_only
    sealed = None if new_run else _waiting(runs, _selected(config), repeats=repeats)
    if sealed is None:
        return config, ()
    ledger = runs.stored
    when = ledger.folder.files.get_file_info(ledger.folder.at(f"{UNITS}/{sealed.unit:06}.json")).mtime
    at = f"{(when or datetime.now(timezone.utc)):%Y-%m-%d %H:%M} UTC"
    note = (
        f"{config.source.name} is not read again: this command scores the {sealed.rows:,} rows that an earlier one has "
        f"stored at {at}; --new-run reads the source again"
    )
    return reading(config, ledger, sealed), (note,)


def stored_runs(lookup: TableLookup, config: JobConfig) -> Runs:
    """The runs of a job's slice, beside which its rows are stored.

    Raises:
        TargetError: This process cannot reach the target's folder.
    """
    source = stored_location(lookup, config.source)
    target, _ = find_target(lookup, config.target, source.format)
    table = target.storage()
    if table is None:
        raise TargetError(
            f"The rows of the source are stored beside the target first, and this process cannot reach {target.name}.",
            next_step="choose a target whose folder this process can reach.",
        )
    part = slice_key(slice_of(config))
    return Runs.of(table, config.name, job_key(source), part, access_of(table, config.target))


def reading(config: JobConfig, ledger: Ledger, sealed: Sealed) -> JobConfig:
    """Return a job that reads stored rows."""
    source = config.source.stored_in(ledger.staged(sealed.session).uri)
    return config.model_copy(update={"source": source})


def next_number(ledger: Ledger) -> int:
    """The number under which rows are stored next."""
    return max(ledger.done(), default=0) + 1


def seal_rows(
    config: JobConfig, ledger: Ledger, number: int, session: str, files: Sequence[WrittenFile], seconds: float
) -> Sealed:
    """Say that all rows are stored, once the disk keeps them; returns those of another command that was quicker."""
    disk_of(ledger.folder).keep(ledger.staged(session).root, [file.path for file in files])
    this_process().failpoints.reach("store")
    sealed = Sealed(unit=number, session=session, files=tuple(files), stats=(_selected(config),), seconds=seconds)
    while not ledger.seal(sealed):
        there = ledger.sealed(sealed.unit)
        if there.stats == sealed.stats:
            remove_sessions(ledger, [session])
            return there
        sealed = replace(sealed, unit=sealed.unit + 1)
    this_process().failpoints.reach("stored")
    return sealed


def discard_stored(runs: Runs, ledger: Ledger) -> None:
    """Remove the rows that a finished run has scored, and what older commands have stored for nobody."""
    plan = plan_in(ledger)
    if plan is None or not (session := stored_session(plan.facts)):
        return
    stored = runs.stored
    try:
        sealed = stored.all_sealed()
    except LedgerError as error:  # the run is finished all the same
        logger.warning("What is stored in %s is not removed: %s", stored.folder.root, error)
        return
    mine = next((number for number, each in sealed.items() if each.session == session), 0)
    for number in [number for number in sealed if number <= mine]:
        del sealed[number]
        stored.folder.files.delete_file(stored.folder.at(f"{UNITS}/{number:06}.json"))
    at_it = {driver.session for driver in at_work(stored)}
    if not sealed and not at_it:
        if stored.folder.kind():
            stored.folder.files.delete_dir(stored.folder.root)
        return
    kept = {each.session for each in sealed.values()} | at_it
    remove_sessions(stored, [name for name in stored.folder.names(FILES) if name not in kept])


def wait_for_others(config: JobConfig, ledger: Ledger, sleep: Callable[[float], None]) -> Sealed | None:
    """Wait for a command that stores the same rows at this moment; None where there is none, or it has failed."""
    number = next_number(ledger)
    while not ledger.is_sealed(number) and at_work(ledger):
        sleep(_LOOK_SECONDS)
    there = ledger.sealed(number) if ledger.is_sealed(number) else None
    return there if there is not None and there.stats == (_selected(config),) else None


def _selected(config: JobConfig) -> dict[str, str]:
    """What decides the rows that are stored, besides the name of their source."""
    return {"where": "" if config.source.where is None else digest(config.source.where)}


def _waiting(runs: Runs, selected: Mapping[str, str], *, repeats: bool) -> Sealed | None:
    """The stored rows that a run has begun with, or is about to; none of a run that was given up.

    Those of a finished run are there where it was stopped before it removed them.

    Args:
        runs: The runs.
        selected: What decides the rows of the job; those that were stored by another condition do not wait for it.
        repeats: Whether a finished run is done again, with rows of now.
    """
    sealed = {each.session: each for each in runs.stored.all_sealed().values() if each.stats == (selected,)}
    if not sealed:
        return None
    newest = max(sealed.values(), key=lambda each: each.unit)
    for _, _, ledger in reversed(runs.all()):
        if (plan := plan_in(ledger)) is None:
            continue
        session = stored_session(plan.facts)
        is_finished = ledger.report() is not None
        if ledger.closed() or (is_finished and repeats):
            return None if session == newest.session else newest
        return newest if is_finished else sealed.get(session, newest)
    return newest


def remove_sessions(ledger: Ledger, sessions: Sequence[str]) -> None:
    """Remove what some commands have written; what cannot be removed takes room."""
    for session in sessions:
        folder: Storage = ledger.staged(session)
        try:
            folder.files.delete_dir(folder.root)
        except (ArrowException, OSError) as error:
            logger.warning("Could not remove %s: %s", folder.root, error)
