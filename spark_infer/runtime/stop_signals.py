"""SIGTERM and Ctrl-C: a command stops at once, but never between the steps of one change; a second one ends it.

Either raises a `KeyboardInterrupt` in the main thread, where all that was begun is cleaned up on its way. Kubernetes,
systemd and schedulers send SIGTERM, and SIGKILL some seconds later.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM)
_SAME_SECONDS = 0.5
"""A second signal that comes sooner is the same wish: `timeout` sends one to the command and one to its group."""
_NAMES: dict[int, str] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Terminated(KeyboardInterrupt):
    """SIGTERM came; whoever knows what to do on Ctrl-C does the same."""


class StopSignals:
    """What this process does when it is asked to stop."""

    def __init__(self) -> None:
        self._obeys: tuple[signal.Signals, ...] = ()
        self._held_back = 0
        self._asked: int | None = None
        self._asked_at = 0.0

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Obey SIGTERM as Ctrl-C while the block runs; only the main thread can, and a Ctrl-C that is ignored stays so.

        A session that starts meanwhile does so in another thread, where PySpark sets no handler of its own.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in STOPPING}
        self._asked = None
        self._obeys = tuple(number for number, handler in before.items() if handler is not signal.SIG_IGN)
        for number in self._obeys:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number in self._obeys:
                signal.signal(number, before[number] or signal.SIG_DFL)
            self._obeys, self._asked = (), None

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Wait with the stop until the block is done: it makes one change of several steps."""
        self._held_back += 1
        try:
            yield
        finally:
            self._held_back -= 1
        if self._asked is not None and not self._held_back:
            _stop(self._asked)

    def _take(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked is None:
            self._asked, self._asked_at = number, now
        elif now - self._asked_at < _SAME_SECONDS:
            return
        else:
            os.write(2, b"ended at once\n")
            os._exit(128 + number)
        if not self._held_back:
            _stop(number)


def _stop(number: int) -> NoReturn:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def say_how_far(stopped: KeyboardInterrupt, text: str) -> None:
    """Have `described` say what was done before a stop."""
    vars(stopped)["__notes__"] = [*getattr(stopped, "__notes__", ()), text]  # as `add_note` of Python 3.11 does


def exit_code(stopped: KeyboardInterrupt) -> int:
    """The exit code of a command that was asked to stop, as shells have it: 130 or 143."""
    return 128 + _number(stopped)


def described(stopped: KeyboardInterrupt) -> tuple[str, tuple[str, ...], str]:
    """Say who stopped a command, how far it came, and what to do next."""
    notes: Any = getattr(stopped, "__notes__", ())
    next_step = "run the same command again: it goes on from there." if notes else ""
    return f"stopped by {_NAMES[_number(stopped)]}", tuple(notes), next_step


def _number(stopped: KeyboardInterrupt) -> int:
    return signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT
