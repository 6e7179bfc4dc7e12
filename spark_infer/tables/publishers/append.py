"""Add to a table unit by unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spark_infer.runtime.failpoints import point
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.parquet.table_snapshot import EMPTY_TABLE_FILE
from spark_infer.tables.publishers.move_files import place, refuse_taken_back, settle
from spark_infer.tables.publishers.tries import tried
from spark_infer.tables.publishers.work import Ended, Log, PublishWork, all_files


class AppendDelta:
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
        point("placed")
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
        settle(self._work.table, paths)
        if any(sealed.files for sealed in entries):
            return Ended()
        return Ended(notes=("No row was written, and so there is no commit.",))


class AppendParquet:
    """Whole files, moved in one by one: a reader may see some files of a unit before the others."""

    one_by_one = True

    def __init__(self, work: PublishWork) -> None:
        self._work = work

    def publish(self, sealed: Sealed) -> int | None:
        """Move the unit's files into the table."""
        work = self._work
        paths = [file.path for file in sealed.files if file.path != EMPTY_TABLE_FILE]
        if not paths:
            return None
        place(work.folder(sealed.session), work.table, paths)
        point("placed")
        if work.table.kind(EMPTY_TABLE_FILE):
            work.table.files.delete_file(work.table.at(EMPTY_TABLE_FILE))
        return None

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Every unit is in its place."""
        settle(self._work.table, [file.path for file in all_files(entries) if file.path != EMPTY_TABLE_FILE])
        return Ended()
