"""Messages over the pipes between a process and its child: pickled, each behind its length."""

from __future__ import annotations

import ctypes
import io
import os
import pickle
import queue
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from spark_infer.errors import RunError
from spark_infer.runtime.carried_exception import CarriedException
from spark_infer.runtime.import_path import inherited_path, module_command
from spark_infer.runtime.process_state import this_process

if TYPE_CHECKING:
    from spark_infer.runtime.fork_server import ForkedProcess, ForkServer

_LENGTH = struct.Struct("<Q")
_LAST_WORK_SECONDS = 5
_CLOSE_SECONDS = 10
_WATCH_MILLISECONDS = 500
_PARENT = "SPARK_INFER_PARENT"
_PR_SET_PDEATHSIG = 1
_LAST_PRINTS_SECONDS = 2
_LONGEST_LINE = 2**16


class Child:
    """A child process that answers each message with one of its own.

    It ends with `close`, and soon after this process, however that ends: at once where the main thread made it, else
    when it next runs Python code.

    Args:
        module: The module that the child runs; it serves the pipes of `own_pipes`.
        own_group: Whether a Ctrl-C at the terminal is kept from it; where it is killed, what it started is killed too.
        environ: Variables that it has besides those of this process.
        log: Takes each line that it writes on its standard output or error; without it, both are this process's
            standard error.
        server: Forks it, where it can; it is then in a group of its own.
    """

    def __init__(
        self,
        module: str,
        *,
        own_group: bool = False,
        environ: Mapping[str, str] | None = None,
        log: Callable[[str], None] | None = None,
        server: ForkServer | None = None,
    ) -> None:
        path = inherited_path(without=this_process().modules.folders)
        environ = {**os.environ, **(environ or {}), "PYTHONPATH": path}
        forked = None if server is None else server.start(module, environ, errors=log is not None)
        self._process = forked or subprocess.Popen(
            module_command(module),
            env={**environ, **own_parent()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if log is None else subprocess.PIPE,
            start_new_session=own_group,
        )
        self._answers = io.BufferedReader(_Answers(self._process))
        self._own_group = own_group
        self._waits = False
        self._prints: threading.Thread | None = None
        if self._process.stderr is not None and log is not None:
            self._prints = threading.Thread(target=_hand_on, args=(self._process.stderr, log), daemon=True)
            self._prints.start()

    def ask(self, message: Any) -> Any:
        """Send a message and return the answer; what the child raised is raised here.

        Raises:
            EOFError: The child is gone.
        """
        assert self._process.stdin is not None
        if self._waits:  # waiting was interrupted, and the next answer would be that of the message before
            self.kill()
            raise EOFError
        self._waits = True
        try:
            write(self._process.stdin, message)
            answer = read(self._answers)
        except BrokenPipeError:
            answer = None
        self._waits = False
        if answer is None:
            raise EOFError
        well, value = pickle.loads(answer)
        if not well:
            raise value.restored()
        return value

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def status(self) -> int:
        """Wait for the end of a child that is gone, and return its exit status."""
        status = self._process.wait()
        self._end_group()
        return status

    def kill(self) -> None:
        """End the child at once, whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """Let the child end, and see that it has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it died with a message in the pipe
            self._process.stdin.close()
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode:
            self._end_group()
        self._process.stdout.close()
        if self._prints is not None:
            self._prints.join(_LAST_PRINTS_SECONDS)  # a process that the child left behind may hold its end open

    def _end_group(self) -> None:
        """End what a child left behind that did not end well, once: later the number may be that of another group."""
        if self._own_group:
            self._own_group = False
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)


class _Answers(io.RawIOBase):
    """What a child writes; it ends with the child, also where a process that it left behind has the pipe still open."""

    def __init__(self, process: subprocess.Popen[bytes] | ForkedProcess) -> None:
        assert process.stdout is not None
        self._process, self._pipe = process, process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._poll.poll(_WATCH_MILLISECONDS):
            if self._process.poll() is not None and not self._poll.poll(0):
                return 0
        return os.readv(self._pipe, [buffer])


def _hand_on(prints: IO[bytes], log: Callable[[str], None]) -> None:
    with prints:
        while line := prints.readline(_LONGEST_LINE):
            if text := line.decode("utf-8", "replace").rstrip():
                log(text)


def write(pipe: IO[bytes], message: Any) -> None:
    """Send a message."""
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def read(pipe: IO[bytes]) -> bytes | None:
    """Return the next message; None where the other side is gone."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = pipe.read(length)
    return message if len(message) == length else None


def answer(well: bool, value: object) -> bytes:
    """Pickle an answer: a result, or an exception that the other side raises."""
    if isinstance(value, BaseException) and not well:
        return pickle.dumps((False, CarriedException.of(value)), protocol=5)
    try:
        message = pickle.dumps((well, value), protocol=5)
        pickle.loads(message)
    except Exception as error:
        return answer(False, RunError(f"The answer cannot be pickled ({type(error).__name__})."))
    return message


def messages(pipe: IO[bytes]) -> queue.Queue[bytes | None]:
    """Read messages beside the work, None as the last; end this process soon after, also amid long work."""
    found: queue.Queue[bytes | None] = queue.Queue()

    def keep_reading() -> None:
        try:
            while (message := read(pipe)) is not None:
                found.put(message)
        except MemoryError:  # the work would wait for ever
            os._exit(1)
        found.put(None)
        time.sleep(_LAST_WORK_SECONDS)
        os._exit(1)

    threading.Thread(target=keep_reading, name="spark_infer-pipe", daemon=True).start()
    return found


def own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Return the pipes of a child, to receive and to send; what user code reads or prints stays out of them.

    From now on the child ends with its parent.
    """
    end_with_parent()
    receive, send = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    kept = [receive.fileno(), send.fileno()]
    os.register_at_fork(after_in_child=lambda: _let_go(kept))
    return receive, send


def _let_go(pipes: list[int]) -> None:
    """Take the pipes from a process that user code forked: it may outlive this one, and the other side waits for it."""
    while pipes:
        with open(os.devnull, "r+b", buffering=0) as nothing:
            os.dup2(nothing.fileno(), pipes.pop(), inheritable=False)


def own_parent() -> dict[str, str]:
    """Return the variables by which a child of this thread ends with this process."""
    # The kernel's signal comes when the thread ends that started the child, and the main thread ends last.
    return {_PARENT: str(os.getpid())} if threading.current_thread() is threading.main_thread() else {}


def end_with_parent() -> None:
    """Have the kernel end this process with its parent, where that has said who it is."""
    if parent := os.environ.pop(_PARENT, ""):
        end_with(int(parent))


def end_with(parent: int) -> None:
    """Have the kernel end this process with its parent, also in native code that holds Python's lock.

    https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before
            os._exit(1)
