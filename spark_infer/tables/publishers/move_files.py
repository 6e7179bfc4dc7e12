"""Move files to where they belong; whatever was moved stays moved, and the same call later goes on.

Nothing is moved back after a failure: another driver of the same run may count on it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from pyarrow import ArrowException

from spark_infer.errors import LedgerError, WriteError
from spark_infer.runtime.failpoints import point
from spark_infer.tables.delta.log import list_log, taken_back
from spark_infer.tables.durable import disk_of
from spark_infer.tables.parquet.table_snapshot import EMPTY_TABLE_FILE
from spark_infer.tables.predicate import PartitionScope
from spark_infer.tables.sharing import closed_to_group
from spark_infer.tables.shown_path import logged_path
from spark_infer.tables.storage import Storage, partition_values

STAGED, READY, OLD = "new", "ready-", "old"
_NEWEST = 100


def place(staged: Storage, target: Storage, paths: Sequence[str]) -> None:
    """Move files from where workers wrote them into another folder, one by one.

    Raises:
        WriteError: A file is in neither place, or could not be moved.
        LedgerError: A file is reached through a symbolic link.
    """
    if staged.root == target.root or not paths:
        return
    infos = target.files.get_file_info([target.at(path) for path in paths])
    left = [path for path, info in zip(paths, infos, strict=True) if not info.is_file]
    refuse_links(staged, left)
    made: set[str] = set()
    for path in left:
        point("place")
        folder = posixpath.dirname(target.at(path))
        try:
            if folder not in made:
                target.files.create_dir(folder)
                made.add(folder)
            target.files.move(staged.at(path), target.at(path))
        except (ArrowException, OSError) as error:
            # Another driver of this run may have moved it at the same time.
            if target.kind(path) != "file":
                raise _not_moved(staged, target, path, error) from error
    disk_of(target).keep(target.root, paths)


def refuse_links(staged: Storage, paths: Sequence[str]) -> None:
    """See that files below a staged folder are there themselves: workers write files, and never links.

    Raises:
        LedgerError: One of them, or a folder on the way, is a symbolic link.
    """
    if link := disk_of(staged).link_in(staged.root, paths):
        raise LedgerError(
            f"{link} is a symbolic link, among the files that a run has staged.",
            details=["spark_infer makes no links there: somebody else did, and nothing was read or moved through it"],
            next_step="see who may write to that folder; then begin again with --new-run, after a look at what the "
            "target holds.",
        )


def take(run: Storage, session: str, paths: Sequence[str]) -> Storage | None:
    """Take a run's staged folder for one command.

    A rename has one winner, and whoever had taken it before can do nothing with it any more: not a driver that hangs
    either, and comes back.

    Args:
        run: The run's folder.
        session: The command.
        paths: The files that are staged.

    Returns:
        The folder; None where there is none, because all of it is in its place.

    Raises:
        LedgerError: Another driver takes it at this moment.
    """
    names = run.names()
    staged = [name for name in names if name.startswith(READY)] or [name for name in names if name == STAGED]
    if len(staged) > 1:  # a driver whose folder was taken has made another of that name
        staged = [name for name in staged if any(run.kind(f"{name}/{path}") for path in paths)] or staged
    if not staged:
        return None
    refuse_links(run.below(staged[0]), [])
    mine = run.below(f"{READY}{session}")
    try:
        run.files.move(run.at(staged[0]), mine.root)
    except (ArrowException, OSError) as error:
        if run.kind(staged[0]):
            raise _half_way(run.at(staged[0]), error, run) from error
        raise _taken(run) from error
    return mine


def settle(table: Storage, paths: Sequence[str]) -> None:
    """Have the disk keep files that are in their place, and the newest of the table's log, before a run is finished.

    A command that was killed may have put them there a moment ago.
    """
    log = [f"_delta_log/{name}" for name in table.names("_delta_log") if name.endswith(".json")]
    wanted = [*paths, *log[-_NEWEST:]]
    infos = table.files.get_file_info([table.at(path) for path in wanted])
    # A file may be gone: another writer may have compacted the table meanwhile.
    disk_of(table).keep(table.root, [path for path, info in zip(wanted, infos, strict=True) if info.is_file])


def refuse_taken(ready: Storage, run: Storage, paths: Sequence[str]) -> None:
    """See that staged files are still in the folder that a command has taken.

    Raises:
        LedgerError: Another driver has taken them.
    """
    infos = ready.files.get_file_info([ready.at(path) for path in paths])
    if not all(info.is_file for info in infos):
        ready.files.delete_dir(ready.root)
        raise _taken(run)


def put_table(ready: Storage, table: Storage, run: Storage) -> None:
    """Put a staged folder in a table's place.

    In one step on a disk that can exchange folders; elsewhere the table vanishes for the moment between two renames.
    """
    point("swap")
    try:
        if not table.names():
            if table.kind():
                disk_of(table).remove_empty(table.root)
            table.files.create_dir(posixpath.dirname(table.root))
            table.files.move(ready.root, table.root)
        elif not disk_of(table).exchange(ready.root, table.root):
            table.files.move(table.root, run.at(OLD))
            point("between_renames")
            table.files.move(ready.root, table.root)
    except (ArrowException, OSError) as error:
        raise (_half_way(table.root, error, table.parent(), run) if ready.kind() else _taken(run)) from error
    point("swapped")


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
        point("swap")
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
            around = _around(folder, table, ready, run.below(OLD))
            raise (_half_way(end.root, error, *around) if ready.kind() else _taken(run)) from error
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


def refuse_lost(table: Storage, paths: Sequence[str]) -> None:
    """See that published files are in the table.

    Raises:
        WriteError: They are gone.
    """
    infos = table.files.get_file_info([table.at(path) for path in paths])
    lost = [info.path for info in infos if not info.is_file]
    if lost:
        raise gone(lost)


def _not_moved(staged: Storage, target: Storage, path: str, error: Exception) -> WriteError | LedgerError:
    if staged.kind(path) == "file":
        # A folder of the run that is not there any more was taken by another driver.
        around = _around(path, staged, target)
        return _half_way(target.at(path), error, *around) if target.kind() else _taken(target.parent())
    if not target.kind() and ".spark_infer" in target.root:
        return _taken(target.parent())
    return gone([target.at(path)])


def _around(path: str, *storages: Storage) -> list[Storage]:
    """The folders that a path lies in, below each of some others."""
    return [storage.below(folder) if (folder := posixpath.dirname(path)) else storage for storage in storages]


def gone(paths: Sequence[str]) -> WriteError:
    """The error of files that are not where they were put."""
    return WriteError(
        f"{len(paths):,} files that this run wrote are gone, the first of them {logged_path(paths[0])}.",
        details=["somebody removed them, or the whole target, after they were published or staged"],
        next_step="see what the target holds; then start a new run with --new-run (new_run=True).",
    )


def _half_way(path: str, error: Exception, *folders: Storage) -> WriteError:
    shown = logged_path(f"{path}: {error}")
    return WriteError(
        f"The new files could not all be moved into their place; the first that could not is {shown}",
        details=["All rows are scored, and kept beside the target."],
        next_step=f"{closed_to_group(folders) or 'check the permissions and free space of the folder.'} Then run the "
        "same command again: it goes on from there.",
    )


def _taken(run: Storage) -> LedgerError:
    return LedgerError(
        f"Another driver of the run {run.name} puts its rows in their place at this moment.",
        next_step="let that one finish.",
    )
