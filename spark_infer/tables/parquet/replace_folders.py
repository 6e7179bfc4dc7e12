"""Put staged folders in the place of a Parquet table, or of its partitions; the same call later goes on."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from pyarrow import ArrowException

from spark_infer.errors import TakenOverError
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.durable import disk_of
from spark_infer.tables.parquet.table_snapshot import EMPTY_TABLE_FILE
from spark_infer.tables.predicate import PartitionScope
from spark_infer.tables.publishing.move_files import OLD, folders_of, half_way, refuse_links
from spark_infer.tables.storage import Storage, partition_values


def put_table(ready: Storage, table: Storage, run: Storage) -> None:
    """Put a staged folder in a table's place.

    In one step on a disk that can exchange folders; elsewhere the table vanishes for the moment between two renames.
    """
    this_process().failpoints.reach("swap")
    try:
        if not table.names():
            if table.kind():
                disk_of(table).remove_empty(table.root)
            table.files.create_dir(posixpath.dirname(table.root))
            table.files.move(ready.root, table.root)
        elif not disk_of(table).exchange(ready.root, table.root):
            table.files.move(table.root, run.at(OLD))
            this_process().failpoints.reach("between_renames")
            table.files.move(ready.root, table.root)
    except (ArrowException, OSError) as error:
        raise (
            half_way(table.root, error, table.parent(), run) if ready.kind() else TakenOverError.of_run(run.name)
        ) from error
    this_process().failpoints.reach("swapped")


def put_partitions(ready: Storage, table: Storage, run: Storage, ours: Sequence[str], scope: PartitionScope) -> None:
    """Put staged partition folders in the place of those inside a scope, one by one; empty those that got no row.

    Args:
        ready: The staged folder.
        table: The table.
        run: The run's folder, for what is replaced.
        ours: All new files, also those that are in their place already.
        scope: What may be replaced.
    """
    new = {posixpath.dirname(path) for path in ours} - {""}
    refuse_links(ready, sorted(new))
    there = [file.path for file in table.data_files()]
    old = {posixpath.dirname(path) for path in there if scope.holds(partition_values(path))} - {""}
    done = {posixpath.dirname(path) for path in there if path in set(ours)}
    for folder in sorted((old | new) - done):
        this_process().failpoints.reach("swap")
        start, end = ready.below(folder), table.below(folder)
        try:
            if folder not in new:
                _move(table, run.below(OLD), folder)
            elif folder not in old:
                _move(ready, table, folder)
            elif not disk_of(table).exchange(start.root, end.root):
                _move(table, run.below(OLD), folder)
                _move(ready, table, folder)
        except (ArrowException, OSError) as error:
            around = folders_of(folder, table, ready, run.below(OLD))
            raise (half_way(end.root, error, *around) if ready.kind() else TakenOverError.of_run(run.name)) from error
    if not new and not table.data_files() and ready.kind(EMPTY_TABLE_FILE):
        _move(ready, table, EMPTY_TABLE_FILE)
    if new and table.kind(EMPTY_TABLE_FILE):
        table.files.delete_file(table.at(EMPTY_TABLE_FILE))


def _move(start: Storage, end: Storage, path: str) -> None:
    """Move a file or a folder; an empty folder in its place gives way."""
    if end.kind(path) == "folder" and not end.names(path):
        disk_of(end).remove_empty(end.at(path))
    end.files.create_dir(posixpath.dirname(end.at(path)))
    end.files.move(start.at(path), end.at(path))
