"""Put Parquet files in their place: written to a hidden folder beside the table, then renamed.

Until the rename the table is untouched; a failure while files are being renamed puts back what was there. A killed
process can leave the staging folder behind: readers ignore it, its name says whose it is, and `leftovers` finds it.
"""

from __future__ import annotations

import logging
import posixpath
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from pyarrow import ArrowException

from spark_infer.errors import WriteError
from spark_infer.tables.parquet import EMPTY_TABLE_FILE
from spark_infer.tables.predicate import PartitionScope
from spark_infer.tables.storage import DataFile, Storage, partition_values

logger = logging.getLogger(__name__)

_MARK = ".spark_infer-"


@dataclass(frozen=True)
class Stage:
    """A hidden folder beside a table: ``new`` is being written, ``old`` was moved out of the way."""

    folder: Storage
    table: Storage

    @property
    def new(self) -> Storage:
        """Where the new files are written."""
        return self.folder.below("new")

    @property
    def old(self) -> Storage:
        """Where the files that are replaced wait until the new ones are in place."""
        return self.folder.below("old")


@contextmanager
def staging(table: Storage) -> Iterator[Stage]:
    """Offer a staging folder for one write and remove it afterwards, whatever happens.

    Only if old data could not be put back does it stay, and the error says where it is.
    """
    stage = Stage(table.beside(f".{table.name}{_MARK}{uuid.uuid4().hex[:12]}"), table)
    keep = False
    try:
        yield stage
    except _OldFilesStayError as error:
        keep = True
        raise WriteError(
            f"The write to {table.root} failed half way, and the old files could not be put back: {error.__cause__}",
            details=[f"The old files are in {stage.old.root}."],
            next_step="move them back into the table's folder before anything else writes there.",
        ) from error
    finally:
        if not keep:
            remove_folder(stage.folder)


def leftovers(table: Storage) -> list[str]:
    """Staging folders that killed writes of this table left with old data in them."""
    marks = [name for name in table.parent().names() if name.startswith(f".{table.name}{_MARK}")]
    return [table.beside(name).root for name in marks if table.beside(name).names("old")]


def remove_folder(folder: Storage) -> None:
    """Remove a folder of our own; one that cannot be removed costs disk space and a line in the log."""
    try:
        if folder.kind():
            folder.files.delete_dir(folder.root)
    except (ArrowException, OSError) as error:
        logger.warning("Could not remove %s: %s", folder.root, error)


def replace_table(stage: Stage) -> None:
    """Put the staged folder in the table's place; the table vanishes for the moment between two renames."""
    with _Moves(stage) as moves:
        if stage.table.kind() and stage.table.names():
            moves.out("")
        moves.into("")


def create_table(stage: Stage) -> None:
    """Give the staged folder the table's name.

    Raises:
        WriteError: Another writer made the table meanwhile.
    """
    if stage.table.kind() and stage.table.names():
        raise WriteError(
            f"{stage.table.root} was made by another writer while this job ran; nothing of this job was written.",
            next_step="choose another target, or a write mode that allows an existing table.",
        )
    with _Moves(stage) as moves:
        moves.into("")


def add_files(stage: Stage, files: list[DataFile]) -> None:
    """Move staged files into the table one by one; readers may see a part of them for that moment."""
    with _Moves(stage) as moves:
        for file in files:
            moves.into(file.path)
        _drop_marker(moves, files)


def replace_partitions(stage: Stage, files: list[DataFile], scope: PartitionScope) -> list[str]:
    """Replace the partition folders inside the scope by the staged ones, folder by folder.

    Readers may see some partitions old and some new for that moment.

    Returns:
        The folders that got no row and were emptied.
    """
    new = {posixpath.dirname(file.path) for file in files} - {""}
    old = {
        posixpath.dirname(file.path) for file in stage.table.data_files() if scope.holds(partition_values(file.path))
    }
    with _Moves(stage) as moves:
        for folder in sorted(old - {""}):
            moves.out(folder)
        for folder in sorted(new):
            moves.into(folder)
        if not new and stage.table.data_files() == []:
            moves.into(EMPTY_TABLE_FILE)
        _drop_marker(moves, [file for file in files if file.path != EMPTY_TABLE_FILE])
    return sorted(old - new - {""})


def _drop_marker(moves: _Moves, added: list[DataFile]) -> None:
    if added and moves.stage.table.kind(EMPTY_TABLE_FILE):
        moves.out(EMPTY_TABLE_FILE)


class _OldFilesStayError(Exception):
    """Old files are still in the staging folder."""


@dataclass
class _Moves:
    """The renames of one write, undone in reverse order when the body raises."""

    stage: Stage
    undo: list[Callable[[], None]] = field(default_factory=list)

    def __enter__(self) -> _Moves:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            return
        for step in reversed(self.undo):
            try:
                step()
            except (ArrowException, OSError) as cause:
                raise _OldFilesStayError from cause
        if isinstance(error, ArrowException | OSError):
            raise WriteError(
                f"The new files could not be moved into {self.stage.table.root}: {error}",
                details=["The table is as it was."],
                next_step="check the folder's permissions and free space, then run again.",
            ) from error

    def out(self, path: str) -> None:
        """Move a part of the table out of the way."""
        self._move(self.stage.table, self.stage.old, path)

    def into(self, path: str) -> None:
        """Move a staged part into the table."""
        self._move(self.stage.new, self.stage.table, path)

    def _move(self, source: Storage, target: Storage, path: str) -> None:
        files, start, end = source.files, source.at(path), target.at(path)
        # A rename onto a file replaces it; onto a folder it nests, replaces or fails, depending on the file system.
        if target.kind(path) == "file" or target.names(path):
            raise FileExistsError(f"{end} exists")
        if target.kind(path):
            files.delete_dir(end)
            self.undo.append(lambda: files.create_dir(end))
        self._make_folder(posixpath.dirname(end))
        files.move(start, end)
        self.undo.append(lambda: files.move(end, start))

    def _make_folder(self, folder: str) -> None:
        files = self.stage.table.files
        missing = []
        while not replace(self.stage.table, root=folder).kind():
            missing.append(folder)
            folder = posixpath.dirname(folder)
        for each in reversed(missing):
            files.create_dir(each, recursive=False)
            self.undo.append(partial(_remove_if_empty, replace(self.stage.table, root=each)))


def _remove_if_empty(folder: Storage) -> None:
    if not folder.names():
        folder.files.delete_dir(folder.root)
