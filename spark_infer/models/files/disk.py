"""What a fetched folder goes through before it is published: nothing but the model in it, and all of it on disk."""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path


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
