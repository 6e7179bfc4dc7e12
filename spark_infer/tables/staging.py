"""Have Spark write a new table out of readers' sight, in a hidden folder beside its place, and give it its name then.

What workers write, and what is added or replaced, is staged in the ledger of its run: see `publishers`.
"""

from __future__ import annotations

import logging
import posixpath
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyarrow import ArrowException

from spark_infer.errors import WriteError
from spark_infer.tables.durable import disk_of
from spark_infer.tables.storage import Storage

logger = logging.getLogger(__name__)


@contextmanager
def staging(table: Storage) -> Iterator[Storage]:
    """Offer a hidden folder beside a table's place for one write, and remove what is left of it afterwards."""
    folder = table.beside(f".{table.name}.spark_infer-{uuid.uuid4().hex[:12]}")
    try:
        yield folder.below("new")
    finally:
        remove_folder(folder)


@contextmanager
def removed_on_failure(folder: Storage | None, is_table: Callable[[Storage], bool] = lambda _: False) -> Iterator[None]:
    """Remove a folder that was not there before the body and holds no committed table after its failure.

    Spark leaves the files of finished tasks in a new table's folder and then refuses to make the table there again.

    Args:
        folder: Where the catalog puts the table; None where that is unknown, and then nothing is removed.
        is_table: Whether a folder holds a committed table.
    """
    fresh = folder is not None and not folder.kind()
    try:
        yield
    except BaseException:
        if folder is not None and fresh and not is_table(folder):
            remove_folder(folder)
        raise


def create_table(staged: Storage, table: Storage) -> None:
    """Give a staged folder the table's name, in one step.

    Raises:
        WriteError: Another writer made the table meanwhile, or it cannot be renamed.
    """
    if table.kind() and table.names():
        raise _made_meanwhile(table)
    try:
        if table.kind():  # empty: it gives way
            disk_of(table).remove_empty(table.root)
        table.files.create_dir(posixpath.dirname(table.root))
        table.files.move(staged.root, table.root)
    except (ArrowException, OSError) as error:
        if staged.kind() and table.names():
            raise _made_meanwhile(table) from error
        raise WriteError(
            f"The new files could not be moved to {table.root}: {error}",
            next_step="check the folder's permissions and free space, then run again.",
        ) from error


def _made_meanwhile(table: Storage) -> WriteError:
    return WriteError(
        f"{table.root} was made by another writer while this job ran; nothing of this job was written.",
        next_step="choose another target, or a write mode that allows an existing table.",
    )


def remove_folder(folder: Storage) -> None:
    """Remove a folder of our own; one that cannot be removed costs disk space and a line in the log."""
    try:
        if folder.kind():
            folder.files.delete_dir(folder.root)
    except (ArrowException, OSError) as error:
        logger.warning("Could not remove %s: %s", folder.root, error)
