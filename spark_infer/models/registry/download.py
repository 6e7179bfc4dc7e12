"""A download that ends when it is given up on, or when it brings more than it may.

MLflow's downloads cannot be cancelled. In a child process they could be killed, but a new child imports MLflow first,
which takes seconds, and a forked one inherits locks that other threads hold. So the descriptors of the files that are
being written are exchanged for one that refuses all bytes: the next write fails, which ends the download in the way of
its library. Should a descriptor be closed and used again in the very moment between look and exchange, whoever uses it
gets an error.
"""

from __future__ import annotations

import contextvars
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from spark_infer.models.registry.mlflow_calls import GivenUpError, stack_of
from spark_infer.runtime.output_capture import captured_output

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_SWEEP_SECONDS = 0.1
_FULL = "/dev/full"


class TooManyBytesError(Exception):
    """A download brought more than was listed.

    Attributes:
        size: Bytes that were there.
        most: How many there may be.
    """

    def __init__(self, size: int, most: int) -> None:
        super().__init__(size, most)
        self.size, self.most = size, most


def download(fetch: Callable[[], object], folder: Path, *, seconds: float, most_bytes: int) -> None:
    """Have files brought to a folder, and end that when it takes too long or brings too much.

    The thread ends with its next write. One that gets no bytes at all ends when its library gives up on the connection.

    Args:
        fetch: Brings them.
        folder: The folder; nothing else writes there.
        seconds: How long it may take.
        most_bytes: How many bytes there may be.

    Raises:
        GivenUpError: It took too long.
        TooManyBytesError: It brought too much.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with captured_output():
                fetch()
        except BaseException as error:  # raised again below, in the thread that asked
            failures.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="spark_infer-download", daemon=True)
    end = time.monotonic() + seconds
    thread.start()
    try:
        alive = True
        while alive:
            thread.join(max(0.0, min(_LOOK_SECONDS, end - time.monotonic())))
            alive = thread.is_alive()
            if not failures and (size := _bytes_in(folder)) > most_bytes:
                raise TooManyBytesError(size, most_bytes)
            if alive and time.monotonic() >= end:
                raise GivenUpError(f"the files were not there in {seconds:g} seconds", stack_of(thread))
    finally:
        if thread.is_alive():
            threading.Thread(target=_end, args=(thread, folder), name="spark_infer-end", daemon=True).start()
    if failures:
        raise failures[0]


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # renamed or removed meanwhile
            total += path.lstat().st_size
    return total


def _end(thread: threading.Thread, folder: Path) -> None:
    """Let every write of a download fail until its thread has ended, and remove what it makes meanwhile."""
    below = f"{os.path.realpath(folder)}/"
    while thread.is_alive():
        for name in _open_files():
            with suppress(OSError, ValueError):
                if os.readlink(f"/proc/self/fd/{name}").startswith(below):
                    _let_writes_fail(int(name))
        shutil.rmtree(folder, ignore_errors=True)
        thread.join(_SWEEP_SECONDS)


def _open_files() -> list[str]:
    try:
        return os.listdir("/proc/self/fd")
    except OSError:  # not Linux: the thread ends with the process
        return []


def _let_writes_fail(number: int) -> None:
    full = os.open(_FULL, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.dup2(full, number, inheritable=False)
    finally:
        os.close(full)
