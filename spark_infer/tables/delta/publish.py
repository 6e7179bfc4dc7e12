"""How the files of sealed units become part of a Delta table: commits, one for each unit or one for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import ArrowException

from spark_infer.errors import WriteError
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.delta.bookmarks import bookmark_in
from spark_infer.tables.delta.log import list_log, read_log
from spark_infer.tables.delta.written_before import taken_back
from spark_infer.tables.durable import disk_of
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import canonical_text
from spark_infer.tables.publishing.move_files import gone, place, place_all, refuse_taken, settle, stage_all, take
from spark_infer.tables.publishing.tries import tried
from spark_infer.tables.publishing.work import Ended, PublishWork, Txn, all_files, emptied_notes
from spark_infer.tables.sink.folders import folder_of
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.staging import create_table
from spark_infer.tables.storage import Storage

_NEWEST = 100
_NO_COMMIT = "No row was written, and so there is no commit."


class Log(Protocol):
    """Delta's log, as publishers use it; the module `commit` is the real one."""

    def published(self, folder: Storage, app: str, /) -> int:
        """The newest version of an application that a table has taken."""

    def prepare(self, folder: Storage, plan: WritePlan, schema: pa.Schema, before: Any = None, /) -> Any:
        """Look at the newest version of a table; its ``published`` says what it has taken of an application."""

    def commit(
        self, plan: WritePlan, ready: Any, files: Sequence[WrittenFile], schema: pa.Schema, stamp: str, txn: Txn, /
    ) -> int | None:
        """Add files, and take out those that they replace, in one transaction."""

    def create_table(
        self, folder: Storage, plan: WritePlan, files: Sequence[WrittenFile], schema: pa.Schema, stamp: str, txn: Txn, /
    ) -> int:
        """Make a table of files that lie in its folder."""

    def remove(self, plan: WritePlan, ready: Any, paths: Sequence[str], stamp: str, txn: Txn, /) -> None:
        """Take files out of a table in one transaction.

        Raises:
            WriteError: One of them is not part of the table.
        """

    def version_of(self, folder: Storage, stamp: str, /) -> int | None:
        """The version that the commit with a stamp made."""


class AppendUnits:
    """One commit a unit, in the units' order: the version of the last one says how far the table is."""

    one_by_one = True

    def __init__(self, work: PublishWork, log: Log) -> None:
        self._work = work
        self._log = log
        self._ready: Any = None
        self._before: list[str] = []
        self._versions: list[int] = []
        self._published = log.published(work.table, work.app)

    def publish(self, sealed: Sealed) -> int | None:
        """Move the unit's files into the table's folder, where no reader sees them, and commit them."""
        work = self._work
        if not sealed.files:
            return None
        if sealed.unit < self._published:
            self._before += [file.path for file in sealed.files]
            return None
        if self._before:
            refuse_taken_back(work.table, self._before)
            self._before = []
        return tried(self._look, lambda ready: self._commit(ready, sealed), work.plan.location.name)

    def _look(self) -> Any:
        work = self._work
        self._ready = self._log.prepare(work.table, work.plan, work.schema, self._ready)
        return self._ready

    def _commit(self, ready: Any, sealed: Sealed) -> int | None:
        work = self._work
        self._published = ready.published(work.app)
        if sealed.unit < self._published:
            return None
        place(work.folder(sealed.session), work.table, [file.path for file in sealed.files])
        this_process().failpoints.reach("placed")
        stamp = work.stamp(unit=sealed.unit)
        version = self._log.commit(work.plan, ready, sealed.files, work.schema, stamp, work.txn(sealed.unit))
        self._published = sealed.unit + 1
        self._versions += [] if version is None else [version]
        return version

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Every unit is committed, and nobody has taken one back; say so where none had a row."""
        paths = [file.path for file in all_files(entries)]
        whole = len(self._versions) == sum(1 for sealed in entries if sealed.files)
        refuse_taken_back(self._work.table, paths, self._versions if whole else ())
        settle(self._work.table, [*paths, *_newest_commits(self._work.table)])
        if any(sealed.files for sealed in entries):
            return Ended()
        return Ended(notes=(_NO_COMMIT,))


class PublishWhole:
    """One commit, for all units."""

    one_by_one = False

    def __init__(self, work: PublishWork, log: Log) -> None:
        self._work = work
        self._log = log
        self._staged: Storage | None = None

    def publish(self, sealed: Sealed) -> int | None:
        """Nothing is published before the end."""
        return None

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Commit all files, and take out those that they replace."""
        paths = [file.path for file in all_files(entries)]
        version = self._version(entries)
        if not self._work.table.names("_delta_log"):
            raise gone([self._work.table.root])
        refuse_taken_back(self._work.table, paths, () if version is None else (version,))
        settle(self._work.table, [*paths, *_newest_commits(self._work.table)])
        if version is None and not paths:
            return Ended(notes=(_NO_COMMIT,))
        return Ended(version=version, notes=emptied_in(self._work.plan, self._work.table, version))

    def _version(self, entries: Sequence[Sealed]) -> int | None:
        work, files = self._work, all_files(entries)
        if self._log.published(work.table, work.app):
            return self._log.version_of(work.table, work.stamp())
        if work.plan.creates and not self._is_made():
            try:
                return self._made(entries, files)
            except WriteError:
                if not self._is_made():
                    raise
        return tried(
            lambda: self._log.prepare(work.table, work.plan, work.schema),
            lambda ready: self._committed(ready, entries, files),
            work.plan.location.name,
        )

    def _committed(self, ready: Any, entries: Sequence[Sealed], files: Sequence[WrittenFile]) -> int | None:
        work = self._work
        if ready.published(work.app):  # another driver was quicker
            return self._log.version_of(work.table, work.stamp())
        _refuse_moved_bookmark(work)
        if work.plan.creates:
            self._add_staged(entries, files)
        else:
            place_all(work, work.table, entries)
        this_process().failpoints.reach("placed")
        return self._log.commit(work.plan, ready, files, work.schema, work.stamp(), work.txn(0))

    def _is_made(self) -> bool:
        """Whether another run, such as that of another day, has made the table that this one was about to make."""
        return self._work.plan.joins and bool(self._work.table.names("_delta_log"))

    def _add_staged(self, entries: Sequence[Sealed], files: Sequence[WrittenFile]) -> None:
        """Move the files that were to be a new table into the one that is there now."""
        work, paths = self._work, [file.path for file in files]
        if not work.table.renames_atomically:
            return  # they were written there
        stage_all(work, entries)
        self._staged = self._staged or take(work.ledger.folder, work.session, paths)
        if self._staged is not None:
            place(self._staged, work.table, paths)

    def _made(self, entries: Sequence[Sealed], files: Sequence[WrittenFile]) -> int | None:
        work = self._work
        if not work.table.renames_atomically:
            return self._log.create_table(work.table, work.plan, files, work.schema, work.stamp(), work.txn(0))
        stage_all(work, entries)
        paths = [file.path for file in files]
        ready = take(work.ledger.folder, work.session, paths)
        if ready is None:
            return self._log.version_of(work.table, work.stamp())
        if ready.kind("_delta_log"):  # a command that was killed made it, perhaps in part
            ready.files.delete_dir(ready.at("_delta_log"))
        version = self._log.create_table(ready, work.plan, files, work.schema, work.stamp(), work.txn(0))
        this_process().failpoints.reach("made")
        disk_of(ready).keep(ready.root, [f"_delta_log/{version:020}.json"])
        # To write the log makes its folder, also where another driver has taken the files meanwhile.
        refuse_taken(ready, work.ledger.folder, paths)
        create_table(ready, work.table)
        this_process().failpoints.reach("renamed")
        return version


def _refuse_moved_bookmark(work: PublishWork) -> None:
    move = work.bookmark
    if move is None or not work.plan.mode.adds_only or bookmark_in(work.table, move.to.job) == move.found:
        return
    raise WriteError(
        f"Another command has added new rows to {work.plan.location.name} while this one scored them too.",
        details=["nothing of this run is in the table, and nothing of it will be"],
        next_step="run the same command again: it scores what is new since then.",
    )


def make_empty(work: PublishWork, log: Log) -> None:
    """Make a Delta table without rows, unless there is one; of two drivers, either may be the one that makes it."""
    if work.table.names("_delta_log"):
        return
    disk_of(work.table).make_folder(work.table.root)
    try:
        log.create_table(work.table, work.plan, [], work.schema, work.stamp(), Txn(work.app, 0))
    except WriteError:
        if not work.table.names("_delta_log"):
            raise


def remove_files(work: PublishWork, log: Log, paths: Sequence[str]) -> None:
    """Take files out of a table, unless a driver of the run has done so."""
    txn = Txn(f"{work.app}/removed", 1)

    def remove(ready: Any) -> None:
        if not ready.published(txn.app):
            log.remove(work.plan, ready, paths, work.stamp(removed=len(paths)), txn)

    if paths:
        tried(lambda: log.prepare(work.table, work.plan, work.schema), remove, work.plan.location.name)
        settle(work.table, _newest_commits(work.table))


def refuse_taken_back(table: Storage, paths: Sequence[str], versions: Sequence[int] = ()) -> None:
    """See that nobody restored or replaced a Delta table after files were committed to it.

    Args:
        table: The table's folder.
        paths: The files.
        versions: The versions that committed all of them, where known: with none in between or after, nobody did.

    Raises:
        WriteError: Somebody did.
    """
    log = list_log(table) if versions else None
    if log is not None and list(versions) == list(range(log.newest + 1 - len(versions), log.newest + 1)):
        return
    if lost := taken_back(table, paths):
        raise gone(lost)


def _newest_commits(table: Storage) -> list[str]:
    names = [name for name in table.names("_delta_log") if name.endswith(".json")]
    return [f"_delta_log/{name}" for name in names[-_NEWEST:]]


def emptied_in(plan: WritePlan, table: Storage | None, version: int | None) -> tuple[str, ...]:
    """Compare a version of a Delta table with the one before it.

    Args:
        plan: The write that made the version; where it declares no partitions, nothing is compared.
        table: The table's folder; None where this process cannot reach it, and so cannot tell.
        version: The version; None where the write made none.
    """
    if table is None or not version or plan.scope is None:
        return ()
    try:
        log = list_log(table)
    except (ArrowException, OSError):
        return ()  # the rows are there, which matters more
    if log is None:
        return ()
    before, after = (read_log(table, log, each) for each in (version - 1, version))
    if before is None or after is None:
        return ()
    return emptied_notes(*({*_folders(plan, (file.values for file in state.files))} for state in (before, after)))


def _folders(plan: WritePlan, partitions: Iterable[Mapping[str, str | None]]) -> Iterable[str]:
    types = dict(zip(plan.partition_by, plan.partition_types, strict=True))
    for values in partitions:
        if plan.scope is not None and plan.scope.holds(values):
            yield folder_of({name: canonical_text(values.get(name), type_name) for name, type_name in types.items()})
