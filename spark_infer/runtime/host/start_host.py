"""Starts a model host, once for however many workers want it, and sees that the hosts of a device fit its budget."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spark_infer.errors import RunError
from spark_infer.runtime.deadline import FOLDER, NO_DUMPS
from spark_infer.runtime.host.host_place import HostPlace
from spark_infer.runtime.host.messages import ANSWER_SIZE, Request, Wish
from spark_infer.runtime.host.private_socket import connect, receive, send
from spark_infer.runtime.host.shared_memory import shared
from spark_infer.runtime.import_path import inherited_path, module_command
from spark_infer.runtime.output_capture import LOG_LEVEL
from spark_infer.runtime.private_files import private
from spark_infer.runtime.process_identity import ProcessIdentity
from spark_infer.runtime.process_state import this_process
from spark_infer.runtime.thread_limits import thread_variables

IDLE_SECONDS = 600.0
_MODULE = "spark_infer.runtime.host.host_process"
_START_SECONDS = 60
_STATUS_SECONDS = 1.0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a host; it ends with this process, however that ends."""
    file = private(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def start_host(place: HostPlace, executor: ProcessIdentity, *, threads: int, idle_seconds: float) -> socket.socket:
    """Start a host and connect to it; its lock is held.

    Raises:
        RunError: It does not start.
    """
    environ = {**os.environ, **thread_variables(threads), **NO_DUMPS, FOLDER: str(place.folder)}
    environ["PYTHONPATH"] = inherited_path(without=this_process().modules.folders)
    arguments = [str(executor.pid), executor.machine, executor.born, str(place.socket), str(idle_seconds)]
    with open(place.log, "wb", opener=private) as log:
        # What native code of a model prints may be values of rows: to the executor's log only where that is asked for.
        output = None if os.environ.get(LOG_LEVEL) else log
        started = subprocess.run(
            [*module_command(_MODULE), *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            timeout=_START_SECONDS,
            check=False,
        )
    connection = connect(place.socket) if started.returncode == 0 else None
    if connection is None:
        raise RunError(
            f"The model host of this executor does not start (exit status {started.returncode}).",
            details=[f"what it wrote is in {place.log}"],
            next_step="set hosting: worker, with which each worker has its own copy of the model.",
        )
    return connection


def make_room(place: HostPlace, size_bytes: int, max_bytes: int) -> None:
    """Have hosts of the device end that nobody uses just now, until a further model fits beside the others.

    Those that nobody has asked for longest end first. One that is at work stays, also where the budget is exceeded.

    Args:
        place: The host that will be started.
        size_bytes: Size of its model's files, the least that it will need.
        max_bytes: What the models of a device may take together.
    """
    found = [(path, *status) for path in place.others() if (status := ask_host(path, Wish.STATUS)) is not None]
    left_bytes = size_bytes + sum(size for _, size, _ in found)
    for path, size, idle_seconds in sorted(found, key=lambda each: -each[2]):
        if left_bytes <= max_bytes or not idle_seconds:
            return
        if ask_host(path, Wish.END):
            left_bytes -= size


def ask_host(path: Path, wish: Wish) -> Any:
    """Return what a host answers; None where it is gone or busy."""
    connection = connect(path)
    if connection is None:
        return None
    with connection:
        connection.settimeout(_STATUS_SECONDS)
        try:
            send(connection, Request(wish=wish).packed())
            _, file = receive(connection, ANSWER_SIZE)
        except (EOFError, OSError):
            return None
    return None if file is None else shared(file)
