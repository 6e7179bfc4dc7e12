"""How far a run is: the figures, and the line that shows them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Protocol

from typing_extensions import Self

from spark_infer.printable import printable

PLAIN_EVERY_SECONDS = 10.0
_BAR_WIDTH = 20
_CLEAR = "\r\x1b[2K"


@dataclass(frozen=True)
class Progress:
    """How far a command is with its run, counted in tasks because Spark knows those while they run.

    Attributes:
        tasks_done: Tasks that have ended.
        tasks_total: Tasks of this command known so far; Spark may find more or fewer as it goes.
        rows_total: Rows that this command has to score, where the table knows.
        seconds: Since scoring started.
        units_done: Units of the run that are scored, as far as this command knows.
        units_total: Units of the run; 0 where it has none.
    """

    tasks_done: int
    tasks_total: int
    rows_total: int | None
    seconds: float
    units_done: int = 0
    units_total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.tasks_done <= self.tasks_total:
            raise ValueError(f"{self.tasks_done} of {self.tasks_total} tasks done")
        if not 0 <= self.units_done <= self.units_total:
            raise ValueError(f"{self.units_done} of {self.units_total} units done")
        if self.seconds < 0 or (self.rows_total or 0) < 0:
            raise ValueError("seconds and rows_total cannot be below zero")

    @property
    def share(self) -> float:
        """Share of the tasks that is done, 0 to 1."""
        return self.tasks_done / self.tasks_total if self.tasks_total else 0.0

    @property
    def rows_done(self) -> int | None:
        """Rows scored, as if all tasks held as many; None where the total is not known."""
        return None if self.rows_total is None else round(self.rows_total * self.share)

    @property
    def rows_per_second(self) -> float | None:
        """Rows per second since the start; None while nothing is done or where rows are not known."""
        rows = self.rows_done
        return rows / self.seconds if rows and self.seconds > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left if the rest goes as fast; None before the first task is done."""
        return self.seconds * (1 - self.share) / self.share if self.share else None

    def __str__(self) -> str:
        parts = [f"{self.share:4.0%}", f"{self.tasks_done:,} of {self.tasks_total:,} tasks"]
        if not self.tasks_done:
            parts.append("loading the model and scoring the first rows")
        if self.units_total > 1:
            parts.append(f"{self.units_done:,} of {self.units_total:,} units")
        if self.rows_done is not None and self.tasks_done:
            parts.append(f"about {self.rows_done:,} rows")
        if self.rows_per_second is not None:
            parts.append(f"{self.rows_per_second:,.0f} rows/s")
        if self.eta_seconds is not None:
            parts.append(f"{clock_time(self.eta_seconds)} left")
        return ", ".join(parts).lstrip()


class Screen(Protocol):
    """What the line needs to know of a `rich.console.Console`."""

    @property
    def is_terminal(self) -> bool:
        """Whether somebody watches."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def file(self) -> IO[str]:
        """Where to write."""


class ProgressLine:
    """One line that is rewritten in place on a terminal; elsewhere a plain line every ten seconds.

    Use it as a context manager and call it with each `Progress`; on leaving, the live line is wiped.
    What comes after that is ignored, so a late call from a polling thread does no harm.

    Args:
        screen: Where to write, usually the console of stderr.
        clock: Seconds that only grow.
    """

    def __init__(self, screen: Screen, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._live = screen.is_terminal and not getattr(screen, "is_dumb_terminal", False)
        self._next_plain = float("-inf")
        self._last = ""
        self._open = True
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._open = False
            if self._live and self._last:
                self._write(_CLEAR)

    def __call__(self, progress: Progress) -> None:
        """Show how far the run is; from any thread."""
        with self._lock:
            if not self._open:
                return
            if self._live:
                self._rewrite(f"{_bar(progress.share)} {progress}")
            elif self._clock() >= self._next_plain:
                self._next_plain = self._clock() + PLAIN_EVERY_SECONDS
                self._write(f"scoring: {progress}\n")

    def note(self, text: str) -> None:
        """Say what goes on before there is progress to show: `starting Spark`."""
        text = printable(text)
        with self._lock:
            if not self._open:
                return
            if self._live:
                self._rewrite(text)
            else:
                self._write(f"{text}\n")

    def _rewrite(self, text: str) -> None:
        line = text[: max(self._screen.width - 1, 1)]
        if line != self._last:
            self._last = line
            self._write(_CLEAR + line)

    def _write(self, text: str) -> None:
        file = self._screen.file
        encoding = getattr(file, "encoding", None) or "utf-8"
        file.write(text.encode(encoding, "replace").decode(encoding))
        file.flush()


def clock_time(seconds: float) -> str:
    """Write a duration for people: ``8 s``, ``3 min 5 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _bar(share: float) -> str:
    done = int(share * _BAR_WIDTH)
    return "█" * done + "░" * (_BAR_WIDTH - done)
