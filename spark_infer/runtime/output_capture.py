"""What the libraries of a model print goes to the log, and not to the screen.

Progress bars, Python's warnings and loggers that nobody has configured all write to `sys.stdout` or `sys.stderr`. While
a block of ours runs, what its own thread writes there becomes records of the logger
`spark_infer.runtime.output_capture`, level INFO; other threads write where they did before. Loggers and handlers that
the user has configured stay as they are.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TextIO, TypeVar

from spark_infer.printable import PrintableFormatter

logger = logging.getLogger(__name__)

LOG_LEVEL = "SPARK_INFER_LOG_LEVEL"
"""The variable that says from which level on a worker's log is written to its stderr; INFO for all of it."""

P = ParamSpec("P")
T = TypeVar("T")

_WITH_HANDLERS = ("huggingface_hub", "transformers")
"""Loggers of libraries that write to the screen by handlers of their own, made when they are imported."""

_ENDS = re.compile(r"[\r\n]+")
_lock = threading.Lock()


class _Lines:
    """Text on its way to the log, one record for each line."""

    def __init__(self) -> None:
        self._rest = ""

    def add(self, text: str) -> None:
        *lines, self._rest = _ENDS.split(self._rest + text)
        for line in lines:
            if line.strip():
                logger.info("%s", line)

    def close(self) -> None:
        self.add("\n")


_lines: ContextVar[_Lines | None] = ContextVar("spark_infer_captured_lines", default=None)


class _Stream:
    """The screen for everybody but the blocks that are captured."""

    def __init__(self, screen: TextIO) -> None:
        self.screen = screen
        self.blocks = 0

    def write(self, text: str) -> int:
        lines = _lines.get()
        if lines is None:
            return self.screen.write(text)
        # A handler of the log may write here in its turn: to the screen.
        outside = _lines.set(None)
        try:
            lines.add(text)
        finally:
            _lines.reset(outside)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.screen, name)


@contextmanager
def captured_output() -> Iterator[None]:
    """Write to the log what the block prints, in its own thread and in those that take over its context."""
    lines = _Lines()
    streams = _enter()
    outside = _lines.set(lines)
    try:
        yield
    finally:
        _lines.reset(outside)
        lines.close()
        _leave(streams)


def captured(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that captures what it prints, in whatever thread it is called."""

    def call(*args: P.args, **more: P.kwargs) -> T:
        with captured_output():
            return function(*args, **more)

    return call


def capturing(items: Iterable[T]) -> Iterator[T]:
    """Capture what is printed while the next item is made, and not what is printed while it is used."""
    source = iter(items)
    nothing = object()
    try:
        while True:
            with captured_output():
                item: Any = next(source, nothing)
            if item is nothing:
                return
            yield item
    finally:
        if close := getattr(source, "close", None):
            close()


def open_worker_log(environ: Mapping[str, str]) -> None:
    """Have the log of this worker process written to its stderr, from the level that `LOG_LEVEL` names.

    Without it errors alone are written: a worker's stderr is the screen, where Spark runs on one machine.
    """
    ours = logging.getLogger(__name__.partition(".")[0])
    if ours.handlers:
        return
    level = logging.getLevelName(environ.get(LOG_LEVEL, "").upper())
    asked = level if isinstance(level, int) else None
    if asked is not None:
        ours.setLevel(asked)
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setLevel(logging.ERROR if asked is None else asked)
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours.addHandler(handler)


def _enter() -> dict[str, _Stream]:
    """Put a stream before each part of the screen, or enter the one that another block has put there."""
    streams = {}
    with _lock:
        for name in ("stdout", "stderr"):
            screen = getattr(sys, name)
            if screen is None:
                continue
            stream = screen if isinstance(screen, _Stream) else _Stream(screen)
            _hand_over(screen, stream)
            stream.blocks += 1
            setattr(sys, name, stream)
            streams[name] = stream
    return streams


def _leave(streams: Mapping[str, _Stream]) -> None:
    """Take away the streams that no other block is in."""
    with _lock:
        for name, stream in streams.items():
            stream.blocks -= 1
            if stream.blocks == 0 and getattr(sys, name) is stream:
                setattr(sys, name, stream.screen)
                _hand_over(stream, stream.screen)


def _hand_over(before: Any, after: Any) -> None:
    """Have the handlers that libraries made for themselves write there, also those made before any block."""
    for name in _WITH_HANDLERS:
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.setStream(after)
