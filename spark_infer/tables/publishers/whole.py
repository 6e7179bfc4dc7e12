"""Make or replace a table, or partitions of it, at once: nothing is seen before every unit is sealed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from spark_infer.runtime.failpoints import point
from spark_infer.tables.durable import disk_of
from spark_infer.tables.emptied import emptied_in_delta, emptied_notes
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import JOURNAL
from spark_infer.tables.parquet.table_snapshot import EMPTY_TABLE_FILE, PARTITIONED_BY
from spark_infer.tables.publishers.move_files import (
    STAGED,
    gone,
    place,
    put_partitions,
    put_table,
    refuse_links,
    refuse_lost,
    refuse_taken,
    refuse_taken_back,
    settle,
    take,
)
from spark_infer.tables.publishers.tries import tried
from spark_infer.tables.publishers.work import Ended, Log, PublishWork, all_files
from spark_infer.tables.sink.sink import write_empty
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.staging import create_table
from spark_infer.tables.storage import Storage, partition_values


class WholeDelta:
    """One commit, for all units."""

    one_by_one = False

    def __init__(self, work: PublishWork, log: Log) -> None:
        self._work = work
        self._log = log

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
        settle(self._work.table, paths)
        return Ended(version=version, notes=emptied_in_delta(self._work.plan, self._work.table, version))

    def _version(self, entries: Sequence[Sealed]) -> int | None:
        work, files = self._work, all_files(entries)
        if self._log.published(work.table, work.app):
            return self._log.version_of(work.table, work.stamp())
        if work.plan.creates:
            return self._made(entries, files)
        return tried(
            lambda: self._log.prepare(work.table, work.plan, work.schema),
            lambda ready: self._committed(ready, entries, files),
            work.plan.location.name,
        )

    def _committed(self, ready: Any, entries: Sequence[Sealed], files: Sequence[WrittenFile]) -> int | None:
        work = self._work
        if ready.published(work.app):  # another driver was quicker
            return self._log.version_of(work.table, work.stamp())
        _place(work, work.table, entries)
        point("placed")
        return self._log.commit(work.plan, ready, files, work.schema, work.stamp(), work.txn(0))

    def _made(self, entries: Sequence[Sealed], files: Sequence[WrittenFile]) -> int | None:
        work = self._work
        if not work.table.renames_atomically:
            return self._log.create_table(work.table, work.plan, files, work.schema, work.stamp(), work.txn(0))
        _stage(work, entries, None)
        paths = [file.path for file in files]
        ready = take(work.ledger.folder, work.session, paths)
        if ready is None:
            return self._log.version_of(work.table, work.stamp())
        if ready.kind("_delta_log"):  # a command that was killed made it, perhaps in part
            ready.files.delete_dir(ready.at("_delta_log"))
        version = self._log.create_table(ready, work.plan, files, work.schema, work.stamp(), work.txn(0))
        point("made")
        disk_of(ready).keep(ready.root, [f"_delta_log/{version:020}.json"])
        # To write the log makes its folder, also where another driver has taken the files meanwhile.
        refuse_taken(ready, work.ledger.folder, paths)
        create_table(ready, work.table)
        point("renamed")
        return version


class WholeParquet:
    """A new folder in the place of the old one, or new partition folders."""

    one_by_one = False

    def __init__(self, work: PublishWork) -> None:
        self._work = work

    def publish(self, sealed: Sealed) -> int | None:
        """Nothing is published before the end."""
        return None

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Put the folders in their place; after a kill, those that are not there yet."""
        work, files = self._work, all_files(entries)
        if work.plan.creates and not work.table.renames_atomically:
            _remove_strays(work, files)
            _keep_schema(work, work.table, files)
            return Ended()
        _stage(work, entries, files)
        notes = self._emptied(files)
        ready = take(work.ledger.folder, work.session, [file.path for file in files])
        if ready is not None:
            self._put(ready, files)
        refuse_lost(work.table, [file.path for file in files if file.path != EMPTY_TABLE_FILE])
        settle(work.table, [file.path for file in files if file.path != EMPTY_TABLE_FILE])
        return Ended(notes=notes)

    def _put(self, ready: Storage, files: Sequence[WrittenFile]) -> None:
        work = self._work
        if work.plan.creates:
            # Else the table is in its place, and a driver that was slow has made the staged folder again.
            if _holds(ready, files) and not _holds(work.table, files):
                create_table(ready, work.table)
        elif work.plan.scope is not None:
            put_partitions(ready, work.table, work.ledger.folder, [file.path for file in files], work.plan.scope)
        elif _holds(ready, files):  # else the folders were exchanged, and it holds what was replaced
            put_table(ready, work.table, work.ledger.folder)

    def _emptied(self, files: Sequence[WrittenFile]) -> tuple[str, ...]:
        work, scope = self._work, self._work.plan.scope
        if scope is None or work.plan.creates:
            return ()
        there = [file.path for file in work.table.data_files()]
        old = {os.path.dirname(path) for path in there if scope.holds(partition_values(path))}
        return emptied_notes(old, (os.path.dirname(file.path) for file in files))


def _holds(folder: Storage, files: Sequence[WrittenFile]) -> bool:
    """Whether a folder has the files of a run; where that wrote none, the file that holds the columns of no rows."""
    return any(folder.kind(path) == "file" for path in ([file.path for file in files] or [EMPTY_TABLE_FILE]))


def _stage(work: PublishWork, entries: Sequence[Sealed], files: Sequence[WrittenFile] | None) -> None:
    """Bring all files of a run together in one folder beside the table, unless that was done before.

    Args:
        work: The run.
        entries: Its units.
        files: Their files, where a table without rows needs a file for its columns; None where a log holds them.
    """
    if work.ledger.folder.kind(JOURNAL):
        return
    new = work.ledger.folder.below(STAGED)
    disk_of(new).make_folder(new.root)
    refuse_links(new, [])
    _place(work, new, entries)
    if files is not None:
        _keep_schema(work, new, files)
    point("placed")
    work.ledger.journal()
    point("journal")


def _place(work: PublishWork, target: Storage, entries: Sequence[Sealed]) -> None:
    for session in sorted({sealed.session for sealed in entries}):
        paths = [file.path for sealed in entries if sealed.session == session for file in sealed.files]
        place(work.folder(session), target, paths)


def _remove_strays(work: PublishWork, files: Sequence[WrittenFile]) -> None:
    """Remove what tasks wrote that were tried again."""
    if work.sink is None:
        return
    ours = {file.path for file in files}
    for path in work.table.every_path():
        if path not in ours and work.sink.run_id in path:
            work.table.files.delete_file(work.table.at(path))


def _keep_schema(work: PublishWork, folder: Storage, files: Sequence[WrittenFile]) -> None:
    """Give a table without rows one file that holds its columns."""
    if files or work.sink is None:
        return
    partitions = json.dumps(dict(zip(work.plan.partition_by, work.plan.partition_types, strict=True)))
    write_empty(work.sink, folder, EMPTY_TABLE_FILE, {PARTITIONED_BY.decode(): partitions})
