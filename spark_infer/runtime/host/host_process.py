"""The process of a model host, and a small one that watches the executor and ends the host with it.

The kernel ends the host with its watcher, also while native code holds Python's lock. Both are in a session of their
own: they outlive the worker that needed them first, and the signals that Spark sends to the group of its workers.

Run as a module with the executor, the socket and the idle seconds as arguments; that process ends as soon as the socket
is there. It and the watcher import nothing large.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from spark_infer.runtime.host.host_place import HostPlace
from spark_infer.runtime.host.private_socket import listen
from spark_infer.runtime.process_identity import ProcessIdentity

_WATCH_SECONDS = 0.5
_SIGNALS = {signal.SIGCHLD}


def main() -> None:
    """Leave a watcher and the host behind, once the host listens."""
    pid, machine, born, socket_path, idle_seconds = sys.argv[1:]
    executor = ProcessIdentity(host="", pid=int(pid), machine=machine, born=born)
    place = HostPlace.of_socket(Path(socket_path))
    listens, say_so = os.pipe()
    if os.fork():
        os.close(say_so)
        os._exit(0 if os.read(listens, 1) else 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    watcher = os.getpid()
    server = os.fork()
    if server:
        os.close(say_so)
        watch(executor, server, place)
    else:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        listener = listen(place.socket)  # here: clients see the process that listened as the other side
        os.write(say_so, b"1")
        os.close(say_so)
        _serve(listener, place, float(idle_seconds), watcher)
    os._exit(0)


def watch(executor: ProcessIdentity, server: int, place: HostPlace) -> None:
    """Wait for the end of the executor, which ends the host, or of the host, whose exit status is noted."""
    while executor.is_here():
        ended, status = os.waitpid(server, os.WNOHANG)
        if ended:
            place.note_end(server, os.waitstatus_to_exitcode(status))
            return
        signal.sigtimedwait(_SIGNALS, _WATCH_SECONDS)
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    shutil.rmtree(place.folder, ignore_errors=True)


def _serve(listener: socket.socket, place: HostPlace, idle_seconds: float, watcher: int) -> None:
    from spark_infer.runtime.child_process import end_with
    from spark_infer.runtime.output_capture import captured_output, open_worker_log

    end_with(watcher)
    from spark_infer.runtime.host.host_server import HostServer

    open_worker_log(os.environ)
    with captured_output():
        HostServer(listener, place.socket, place.lock, idle_seconds).serve()


if __name__ == "__main__":
    main()
