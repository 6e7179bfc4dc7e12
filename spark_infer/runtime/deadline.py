"""Deadlines of steps that may hang for ever in somebody else's code, also in C with Python's lock held.

A step that takes too long ends its process by SIGALRM, after Python's fault handler has written where every thread
stands into a file of the process. Spark reads that file when a worker is gone, and engine `local` does the same.
The kernel's timer costs a step some microseconds; that of the fault handler starts and joins a thread each time.
Source: https://docs.python.org/3/library/faulthandler.html#faulthandler.register
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from spark_infer.errors import DeadlineError

FOLDER = "PYTHON_FAULTHANDLER_DIR"
"""Where Spark has the processes of its workers write, each a file named by its number."""
_DUMPS = "PYTHON_TRACEBACK_DUMP_INTERVAL_SECONDS"
NO_DUMPS = {_DUMPS: "0"}
"""Keeps stacks that Spark asks for from the file of a process of ours."""
_NOTE = "spark_infer: {} may take {:g} seconds in thread {:#x}\n"
_EXPIRED = re.compile(
    r"spark_infer: (\w+) may take ([\d.e+]+) seconds in thread (0x[0-9a-f]+)\s+((?:Current thread|Thread) 0x.*)",
    re.DOTALL,
)
_THREAD = re.compile(r"^(?:Current thread|Thread) (0x[0-9a-f]+)[^\n]*\n", re.MULTILINE)
_FRAME = re.compile(r'File "([^"\n]+)", line (\d+) in (\S+)')
_MOST_FRAMES = 12


class StepDeadlines:
    """Ends this process where a step takes too long; only in a process of which somebody said that it may be ended.

    Where Spark writes stacks now and then (`tracebackDumpIntervalSeconds`), there are no deadlines: the file would not
    say which stacks are those of a step that took too long. The same holds while code of the model has its own handler
    of SIGALRM.

    Args:
        environ: The environment of this process.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._log: IO[str] | None = None
        self._noted = ""
        self._is_worker = False

    def may_end(self) -> None:
        """Say that this process is a worker, which may be ended."""
        self._is_worker = True

    @contextmanager
    def limit(self, step: str, seconds: float | None) -> Iterator[None]:
        """End this process if the block takes longer.

        Without a folder, where each thread stands is written to the process's stderr, which nobody reads but people.

        Args:
            step: ``load`` or ``predict``.
            seconds: How long it may take; None for as long as it likes.
        """
        log = self._open() if seconds is not None and not int(self._environ.get(_DUMPS) or 0) else None
        if log is None or seconds is None:
            yield
            return
        if FOLDER in self._environ:
            self._note(log, _NOTE.format(step, seconds, threading.get_ident()))
        faulthandler.register(signal.SIGALRM, log, chain=True)  # then what the signal does by itself: the end
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _open(self) -> IO[str] | None:
        folder = self._environ.get(FOLDER)
        if folder is None:
            return sys.__stderr__ if self._is_worker else None
        place = f"{folder}/{os.getpid()}"
        # Spark makes a new file for each task; a child that was forked has its own.
        if self._log is None or not _is_file(place, self._log):
            self._log, self._noted = open(place, "a"), ""  # noqa: SIM115
        return self._log

    def _note(self, log: IO[str], text: str) -> None:
        if text != self._noted:
            log.write(text)
            log.flush()
            self._noted = text


def _is_file(place: str, file: IO[str]) -> bool:
    """Whether an open file is the one that a path names now."""
    try:
        return os.path.samestat(os.stat(place), os.fstat(file.fileno()))
    except OSError:
        return False


def expired(text: str) -> DeadlineError | None:
    """The error of a process that ended itself, by what it wrote; None where it wrote nothing of the kind."""
    match = _EXPIRED.search(text)
    if match is None:
        return None
    frames = [
        f"  {'/'.join(Path(file).parts[-2:])}, line {line}, in {name}"
        for file, line, name in _FRAME.findall(_stack_of(int(match[3], 16), match[4]))
        if not file.startswith("<frozen")  # Python's own import machinery
    ]
    return DeadlineError(
        f"A worker was stopped, because the step `{match[1]}` took longer than {float(match[2]):g} seconds.",
        details=["it stood, the innermost call first:", *frames[:_MOST_FRAMES]],
        next_step=f"look at what it waits for; or give it longer with score.{match[1]}_seconds.",
    )


def _stack_of(thread: int, dump: str) -> str:
    """What the fault handler wrote of one thread; all that it wrote where it does not name that one."""
    heads = list(_THREAD.finditer(dump))
    ends = [*(head.start() for head in heads[1:]), len(dump)]
    found = [dump[head.end() : end] for head, end in zip(heads, ends, strict=True) if int(head[1], 16) == thread]
    return found[0] if found else dump


def stacks_of(folder: Path, pid: int) -> str:
    """What a process wrote before it ended."""
    try:
        return (folder / str(pid)).read_text(errors="replace")
    except OSError:
        return ""
