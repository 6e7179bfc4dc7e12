"""Where processes of engine `local` write where they stand before they end; see `runtime.deadline`."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "spark_infer-stacks-"
_YOUNG_SECONDS = 60
"""A younger folder may not be locked yet."""


@contextmanager
def stacks_folder() -> Iterator[Path]:
    """Make a folder for this run, which is removed afterwards, and remove those of runs that were killed."""
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # The lock ends with this process, however that ends; a process number may be another container's.
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another command sweeps it, or holds it
            _remove_abandoned(folder)


def _remove_abandoned(folder: Path) -> None:
    found = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        about = os.fstat(found)
        ours = about.st_uid == os.geteuid() and stat.S_IMODE(about.st_mode) == 0o700
        if ours and time.time() - about.st_mtime > _YOUNG_SECONDS:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(found)
