"""Move files to where they belong; whatever was moved stays moved, and the same call later goes on.

Nothing is moved back after a failure: another driver of the same run may count on it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence

from pyarrow import ArrowException

from spark_infer.errors import LedgerError, TakenOverError, WriteError
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.durable import disk_of
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.ledger.ledger import JOURNAL
from spark_infer.tables.ledger.owners import closed_to_group
from spark_infer.tables.paths import logged_path
from spark_infer.tables.publishing.work import PublishWork
from spark_infer.tables.storage import Storage

STAGED, READY, OLD = "new", "ready-", "old"


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
        this_process().failpoints.reach("place")
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


def place_all(work: PublishWork, target: Storage, entries: Sequence[Sealed]) -> None:
    """Move the files of some units into a folder, from wherever the commands that scored them wrote."""
    for session in sorted({sealed.session for sealed in entries}):
        paths = [file.path for sealed in entries if sealed.session == session for file in sealed.files]
        place(work.folder(session), target, paths)


def stage_all(work: PublishWork, entries: Sequence[Sealed], complete: Callable[[Storage], None] | None = None) -> None:
    """Bring all files of a run together in one folder beside the table, unless that was done before.

    Args:
        work: The run.
        entries: Its units.
        complete: Adds to the folder what a table needs besides.
    """
    if work.ledger.folder.kind(JOURNAL):
        return
    new = work.ledger.folder.below(STAGED)
    disk_of(new).make_folder(new.root)
    refuse_links(new, [])
    place_all(work, new, entries)
    if complete is not None:
        complete(new)
    this_process().failpoints.reach("placed")
    work.ledger.journal()
    this_process().failpoints.reach("journal")


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
        TakenOverError: Another driver takes it at this moment.
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
            raise half_way(run.at(staged[0]), error, run) from error
        raise TakenOverError.of_run(run.name) from error
    return mine


def settle(table: Storage, paths: Sequence[str]) -> None:
    """Have the disk keep files that are in their place, before a run is finished.

    A command that was killed may have put them there a moment ago.
    """
    infos = table.files.get_file_info([table.at(path) for path in paths])
    # A file may be gone: another writer may have compacted the table meanwhile.
    disk_of(table).keep(table.root, [path for path, info in zip(paths, infos, strict=True) if info.is_file])


def refuse_taken(ready: Storage, run: Storage, paths: Sequence[str]) -> None:
    """See that staged files are still in the folder that a command has taken.

    Raises:
        TakenOverError: Another driver has taken them.
    """
    infos = ready.files.get_file_info([ready.at(path) for path in paths])
    if not all(info.is_file for info in infos):
        ready.files.delete_dir(ready.root)
        raise TakenOverError.of_run(run.name)


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
        around = folders_of(path, staged, target)
        return (
            half_way(target.at(path), error, *around) if target.kind() else TakenOverError.of_run(target.parent().name)
        )
    if not target.kind() and ".spark_infer" in target.root:
        return TakenOverError.of_run(target.parent().name)
    return gone([target.at(path)])


def folders_of(path: str, *storages: Storage) -> list[Storage]:
    """The folders that a path lies in, below each of some others."""
    return [storage.below(folder) if (folder := posixpath.dirname(path)) else storage for storage in storages]


def gone(paths: Sequence[str]) -> WriteError:
    """The error of files that are not where they were put."""
    return WriteError(
        f"{len(paths):,} files that this run wrote are gone, the first of them {logged_path(paths[0])}.",
        details=["somebody removed them, or the whole target, after they were published or staged"],
        next_step="see what the target holds; then start a new run with --new-run (new_run=True).",
    )


def half_way(path: str, error: Exception, *folders: Storage) -> WriteError:
    """The error of files that could not be moved, for reasons that the folders around them may show."""
    shown = logged_path(f"{path}: {error}")
    return WriteError(
        f"The new files could not all be moved into their place; the first that could not is {shown}",
        details=["All rows are scored, and kept beside the target."],
        next_step=f"{closed_to_group(folders) or 'check the permissions and free space of the folder.'} Then run the "
        "same command again: it goes on from there.",
    )
