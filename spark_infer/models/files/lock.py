"""A lock between the processes of one node, which only saves them work.

`fcntl.flock` and not a package: the kernel drops it when its holder dies, however it dies, and it needs no
clean-up and no dependency. Some network file systems grant it to everybody, and Windows has none; so nothing
may depend on it for being right (see `store`).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def held(path: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lock while the body runs; after ``wait_seconds`` of waiting, run it without.

    Args:
        path: The lock's file, in a folder that only this user can write; it stays behind, empty.
        wait_seconds: How long to wait for another holder: a frozen one must not stop the node for good.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if not _taken(descriptor, time.monotonic() + wait_seconds):
            logger.warning("Going on without the lock %s, which another process has held too long.", path.name)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int, deadline: float) -> bool:
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EINTR):
                return True  # this file system has no locks, and needs none for being right
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
    return True
