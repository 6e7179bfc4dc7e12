"""Workers that are forked from a process that has imported what they need: the side that asks for them."""

from __future__ import annotations

import array
import os
import pickle
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from spark_infer.runtime.child_process import own_parent
from spark_infer.runtime.fork_server_process import MOST_BYTES, SOCKET
from spark_infer.runtime.import_path import inherited_path, module_command
from spark_infer.runtime.process_state import this_process
from spark_infer.runtime.thread_limits import thread_variables

MODULE = "spark_infer.runtime.fork_server_process"
_IDLE_SECONDS = 60
"""How long a server lives on between jobs, as Spark's idle workers do."""
_starting = threading.Lock()
"""Held by the thread that starts one: jobs of several threads share it."""


def start_fork_server(threads: int, modules: Sequence[str]) -> None:
    """Have a fork server import modules, one that runs or a new one; nothing where this system has no such thing.

    Args:
        threads: Threads of a worker: libraries read them when they are imported.
        modules: What workers need.
    """
    process = this_process()
    with _starting:
        found = fork_server()
        if found is None or found.threads != threads or found.environ != _told(os.environ):
            if found is not None and not found.is_used:
                found.close()
            with suppress(OSError, AttributeError):
                process.fork_server = found = ForkServer(process.modules.folders, threads)
    if found is not None:
        found.imports(modules)


def fork_server() -> ForkServer | None:
    """Return the fork server that runs, where it imports from where a new process would."""
    process = this_process()
    found: ForkServer | None = process.fork_server
    return found if found is not None and found.fits(process.modules.folders) else None


class ForkServer:
    """A process that imports modules and forks workers; it ends with `close`, and with this process.

    Attributes:
        path: From where it imports.
        threads: Threads of its workers.
        environ: The variables of this process when it began.

    Args:
        without: Folders that are not on its path.
        threads: Threads of a worker: libraries read them when they are imported.

    Raises:
        OSError: This system has no file descriptors for processes (Linux before 5.3).
    """

    def __init__(self, without: frozenset[str], threads: int) -> None:
        os.close(os.pidfd_open(os.getpid()))
        self.path, self.threads, self.environ = inherited_path(without), threads, _told(os.environ)
        self._lock = threading.Lock()
        self._users = 0
        self._messages, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._messages.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MOST_BYTES)
        given = {**thread_variables(threads), **own_parent(), "PYTHONPATH": self.path, SOCKET: str(its_end.fileno())}
        with its_end:
            self._process = subprocess.Popen(
                module_command(MODULE),
                env={**os.environ, **given},
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a library prints while it is imported
                pass_fds=[its_end.fileno()],
                start_new_session=True,
            )
        self._idle = self._close_later()

    def fits(self, without: frozenset[str]) -> bool:
        """Whether it runs, and has the path that a new process would have now."""
        return self.path == inherited_path(without) and self._process.poll() is None

    @property
    def is_used(self) -> bool:
        """Whether workers of it may be at work."""
        return self._users > 0

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep it alive while the block runs, and for a minute after the last one."""
        with self._lock:
            self._users += 1
            self._idle.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._idle = self._close_later()

    def _close_later(self) -> threading.Timer:
        timer = threading.Timer(_IDLE_SECONDS, self._close_idle)
        timer.daemon = True
        timer.start()
        return timer

    def _close_idle(self) -> None:
        if not self.is_used:
            self.close()

    def imports(self, modules: Sequence[str]) -> None:
        """Have modules imported, while this process does something else."""
        with self._lock, suppress(OSError):
            self._messages.send(pickle.dumps(("import", list(modules))))

    def start(self, module: str, environ: Mapping[str, str], *, errors: bool) -> ForkedProcess | None:
        """Fork a worker that runs a module's `main`; None where the server cannot.

        Args:
            module: The module.
            environ: The worker's variables.
            errors: Whether its standard error is a pipe, and not this process's.
        """
        try:
            folder, its_stderr = os.getcwd(), os.dup(2)
        except OSError:  # the folder is gone, or this process has no standard error
            return None
        receive, its_stdin = os.pipe()
        its_stdout, send = os.pipe()
        error = None
        if errors:
            os.close(its_stderr)
            error, its_stderr = os.pipe()
        content = pickle.dumps(("fork", module, dict(environ), self.path, folder))
        pipes = [receive, send, its_stderr]
        try:
            pid = self._ask(content, pipes)
        finally:
            for pipe in pipes:
                os.close(pipe)
        stdin, stdout = os.fdopen(its_stdin, "wb"), os.fdopen(its_stdout, "rb")
        stderr = None if error is None else os.fdopen(error, "rb")
        if pid:
            return ForkedProcess(pid, self, stdin, stdout, stderr)
        for pipe_end in filter(None, (stdin, stdout, stderr)):
            pipe_end.close()
        return None

    def wait(self, pid: int) -> int:
        """Return the exit code of a worker, once it has ended."""
        code = self._ask(pickle.dumps(("wait", pid)))
        return -signal.SIGKILL if code is None else code  # the kernel ends workers with their server

    def _ask(self, content: bytes, pipes: Sequence[int] = ()) -> Any:
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", pipes))] if pipes else []
        with self._lock:
            try:
                self._messages.sendmsg([content], beside)
                answer = self._messages.recv(MOST_BYTES)
            except OSError:
                return None
            except BaseException:  # its answer, which nobody reads now, would be taken for that of the next message
                self.close()
                raise
        return pickle.loads(answer) if answer else None

    def close(self) -> None:
        """End it, and its workers with it."""
        self._messages.close()
        self._process.kill()
        self._process.wait()


class ForkedProcess:
    """A worker that a server has forked, with what `subprocess.Popen` has of it.

    Attributes:
        pid: Its number.
        returncode: Its exit code, once that was asked for after its end.
    """

    def __init__(
        self, pid: int, server: ForkServer, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes] | None
    ) -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr
        self.returncode: int | None = None
        self._server = server
        self._handle = os.pidfd_open(pid)  # its number is its own until the server has waited for it
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs after so many seconds.
        """
        code = self._ended(None if timeout is None else round(timeout * 1000))
        if code is None:
            raise subprocess.TimeoutExpired(MODULE, timeout or 0)
        return code

    def kill(self) -> None:
        """End it at once."""
        with self._lock:
            if self.returncode is None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def _ended(self, milliseconds: int | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._handle, select.POLLIN)
            if not poll.poll(milliseconds):
                return None
            with self._lock:
                if self.returncode is None:
                    self.returncode = self._server.wait(self.pid)
                    os.close(self._handle)
        return self.returncode


def _told(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what an environment says besides the threads, which this process sets for itself."""
    own = thread_variables(0)
    return {name: value for name, value in environ.items() if name not in own}
