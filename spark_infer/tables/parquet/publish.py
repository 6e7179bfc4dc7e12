"""How the files of sealed units become part of a Parquet table: moves of files, or exchanges of folders."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from spark_infer.errors import WriteError
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.durable import disk_of
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.parquet.replace_folders import put_partitions, put_table
from spark_infer.tables.parquet.table_snapshot import EMPTY_TABLE_FILE, PARTITIONED_BY
from spark_infer.tables.publishing.move_files import place, refuse_lost, settle, stage_all, take
from spark_infer.tables.publishing.work import Ended, PublishWork, all_files, emptied_notes
from spark_infer.tables.sink.sink import write_empty
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile
from spark_infer.tables.staging import create_table
from spark_infer.tables.storage import Storage, partition_values


class AppendUnits:
    """Whole files, moved in one by one: a reader may see some files of a unit before the others."""

    def __init__(self, work: PublishWork) -> None:
        self.one_by_one = work.plan.one_by_one
        self._work = work

    def publish(self, sealed: Sealed) -> int | None:
        """Move the unit's files into the table."""
        _add(self._work, self._work.folder(sealed.session), sealed.files)
        return None

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Every unit is in its place, or moved there now where none was to be seen before all are scored."""
        if not self.one_by_one:
            for sealed in entries:
                self.publish(sealed)
        settle(self._work.table, [file.path for file in all_files(entries) if file.path != EMPTY_TABLE_FILE])
        return Ended()


class PublishWhole:
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
        stage_all(work, entries, lambda folder: _keep_schema(work, folder, files))
        notes = self._emptied(files)
        ready = take(work.ledger.folder, work.session, [file.path for file in files])
        if ready is not None:
            self._put(ready, files)
        refuse_lost(work.table, [file.path for file in files if file.path != EMPTY_TABLE_FILE])
        settle(work.table, [file.path for file in files if file.path != EMPTY_TABLE_FILE])
        return Ended(notes=notes)

    def _put(self, ready: Storage, files: Sequence[WrittenFile]) -> None:
        work = self._work
        if work.plan.creates and self._made(ready, files):
            return
        if work.plan.scope is not None:
            put_partitions(ready, work.table, work.ledger.folder, [file.path for file in files], work.plan.scope)
        elif work.plan.creates:
            _add(work, ready, files)
        elif _holds(ready, files):  # else the folders were exchanged, and it holds what was replaced
            put_table(ready, work.table, work.ledger.folder)

    def _made(self, ready: Storage, files: Sequence[WrittenFile]) -> bool:
        """Give the staged folder the table's name; False where another run has made the table, and this one adds."""
        if self._is_made():
            return False
        # Else the table is in its place, and a driver that was slow has made the staged folder again.
        if _holds(ready, files) and not _holds(self._work.table, files):
            try:
                create_table(ready, self._work.table)
            except WriteError:
                if not self._is_made():
                    raise
                return False
        return True

    def _is_made(self) -> bool:
        return self._work.plan.joins and bool(self._work.table.data_files())

    def _emptied(self, files: Sequence[WrittenFile]) -> tuple[str, ...]:
        work, scope = self._work, self._work.plan.scope
        if scope is None or work.plan.creates:
            return ()
        there = [file.path for file in work.table.data_files()]
        old = {os.path.dirname(path) for path in there if scope.holds(partition_values(path))}
        return emptied_notes(old, (os.path.dirname(file.path) for file in files))


def make_empty(work: PublishWork) -> None:
    """Make a folder with one file that holds the columns of no rows, unless there are files."""
    if work.sink is None or work.table.data_files() or work.table.kind(EMPTY_TABLE_FILE):
        return
    staged = work.folder(work.session)
    work.ledger.make_folder(staged)
    _write_schema(work, work.sink, staged)
    disk_of(work.table).make_folder(work.table.root)
    place(staged, work.table, [EMPTY_TABLE_FILE])


def remove_files(work: PublishWork, paths: Sequence[str]) -> None:
    """Remove files that are still there, and keep the columns of a table that has no other."""
    infos = work.table.files.get_file_info([work.table.at(path) for path in paths])
    for info in infos:
        if info.is_file:
            this_process().failpoints.reach("remove")
            work.table.files.delete_file(info.path)
    folders = sorted({os.path.dirname(path) for path in paths})
    # Else a power cut would bring them back after the run is finished.
    disk_of(work.table).keep(work.table.root, [folder for folder in folders if work.table.kind(folder) == "folder"])
    make_empty(work)


def _add(work: PublishWork, staged: Storage, files: Sequence[WrittenFile]) -> None:
    """Move files into a table that is there."""
    paths = [file.path for file in files if file.path != EMPTY_TABLE_FILE]
    if not paths:
        return
    place(staged, work.table, paths)
    this_process().failpoints.reach("placed")
    if work.table.kind(EMPTY_TABLE_FILE):
        work.table.files.delete_file(work.table.at(EMPTY_TABLE_FILE))


def _holds(folder: Storage, files: Sequence[WrittenFile]) -> bool:
    """Whether a folder has the files of a run; where that wrote none, the file that holds the columns of no rows."""
    return any(folder.kind(path) == "file" for path in ([file.path for file in files] or [EMPTY_TABLE_FILE]))


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
    if work.plan.joins and folder.root == work.table.root and folder.data_files():
        return  # another run has made the table
    if not files and work.sink is not None:
        _write_schema(work, work.sink, folder)


def _write_schema(work: PublishWork, sink: SinkSpec, folder: Storage) -> None:
    partitions = json.dumps(dict(zip(work.plan.partition_by, work.plan.partition_types, strict=True)))
    write_empty(sink, folder, EMPTY_TABLE_FILE, {PARTITIONED_BY.decode(): partitions})
