"""What a fetched folder goes through before it is published: nothing but the model in it, and all of it on disk."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Container
from contextlib import suppress
from pathlib import Path

from spark_infer.errors import ModelFilesError
from spark_infer.models.files.digest import FileFacts, hash_files

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LEFTOVER_SECONDS = 24 * 3600


def fetched(fetch: Callable[[Path], None], model: Path) -> dict[str, FileFacts]:
    """Have a model's files fetched into a folder, and return the facts of each by relative path.

    Raises:
        ModelFilesError: They cannot be fetched, there are none, or one of them is a link.
        OSError: The disk is full.
    """
    try:
        fetch(model)
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise ModelFilesError(
            f"The model's files could not be fetched: {error.strerror or type(error).__name__}.",
            next_step="Check that their source can be reached from this node, and run the job again.",
        ) from error
    facts = hash_files(model)
    if not facts or any((model / name).is_symlink() for name in facts):
        raise ModelFilesError(
            "The fetched files are not a model: " + ("one of them is a link." if facts else "there are none."),
            next_step="Check the folder that the model was logged to.",
        )
    return facts


def tidy(model: Path, names: Container[str], *, private: bool) -> None:
    """Remove everything but the files of these relative paths, and empty folders.

    Args:
        model: The folder.
        names: The files that the digest covers.
        private: Whether what stays is for this user alone; else it keeps its modes.
    """
    for folder, _, files in os.walk(model, topdown=False):
        for name in files:
            path = Path(folder, name)
            if path.relative_to(model).as_posix() not in names:
                path.unlink()
            elif private:
                path.chmod(0o600)
        with suppress(OSError):  # stays while it holds files
            if private:
                os.chmod(folder, 0o700)
            os.rmdir(folder)


def flush(folder: Path) -> None:
    """Have the disk keep a folder and all in it, also through a loss of power."""
    for inside, _, names in os.walk(folder):
        for name in names:
            sync(Path(inside, name))
        sync(Path(inside))


def sync(path: Path) -> None:
    """Have the disk keep one file, or the names in one folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what work that broke off a day ago or more has left."""
    oldest = time.time() - _LEFTOVER_SECONDS
    for leftover in folder.iterdir():
        with suppress(OSError):
            if leftover.lstat().st_mtime < oldest:
                shutil.rmtree(leftover)
