"""The fork server: it imports what workers need, and forks each worker, which then starts in milliseconds.

It does the messages of `fork_server.py` one after the other, in its only thread, and computes nothing itself: a library
that was only imported may be used after a fork.
"""

from __future__ import annotations

import array
import gc
import importlib
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from spark_infer.runtime import process_state
from spark_infer.runtime.child_process import end_with, end_with_parent

SOCKET = "SPARK_INFER_FORK_SERVER"
"""The variable that has the number of the socket."""
MOST_BYTES = 2**20
"""Of one message: a name, an environment and a path."""
_PIPES = 3

Work = Callable[[], None]


def serve(messages: socket.socket) -> Work | None:
    """Do what messages ask for; returns when the other side is gone, and in each worker with its work."""
    while True:
        content, pipes = _receive(messages)
        if not content:
            return None
        what, *told = pickle.loads(content)
        if what == "import":
            _import(*told)
        elif what == "wait":
            messages.send(pickle.dumps(os.waitstatus_to_exitcode(os.waitpid(told[0], 0)[1])))
        elif what == "fork":
            work = _fork(messages, pipes, *told)
            if work is not None:
                return work


def _receive(messages: socket.socket) -> tuple[bytes, Sequence[int]]:
    pipes = array.array("i")
    content, beside, _, _ = messages.recvmsg(MOST_BYTES, socket.CMSG_SPACE(_PIPES * pipes.itemsize))
    for _, _, data in beside:
        pipes.frombytes(data)
    return content, pipes


def _import(modules: Sequence[str]) -> None:
    """Import modules; one that does not import is for the worker to report."""
    for module in modules:
        with suppress(Exception, SystemExit):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the collector of a worker would write into each page that it shares with the others


def _fork(
    messages: socket.socket, pipes: Sequence[int], module: str, environ: Mapping[str, str], path: str, folder: str
) -> Work | None:
    """Fork a worker and answer with its number; in the worker, return its work."""
    alone = threading.active_count() == 1  # a lock that another thread holds would stay locked in the worker
    server = os.getpid()
    pid = os.fork() if alone else 0
    if alone and pid == 0:
        messages.close()
        end_with(server)
        _become_worker(pipes, environ, path, folder)
        return importlib.import_module(module).main  # type: ignore[no-any-return]
    for pipe in pipes:
        os.close(pipe)
    messages.send(pickle.dumps(pid))
    return None


def _become_worker(pipes: Sequence[int], environ: Mapping[str, str], path: str, folder: str) -> None:
    os.setsid()
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    first = path.split(os.pathsep) if path else []
    sys.path[:] = [*first, *(place for place in sys.path if place not in first)]
    process_state.begin()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # else all workers draw the same numbers


def main() -> None:
    """Serve the process that started this one, and do a worker's work in each that is forked."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()
    messages = socket.socket(fileno=int(os.environ.pop(SOCKET)))
    with suppress(ConnectionError):
        if (work := serve(messages)) is not None:
            work()


if __name__ == "__main__":
    main()
