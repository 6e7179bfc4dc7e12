"""Tells how far a command is with a run: in tasks while they run, and in units that are scored."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence

from spark_infer.engines.unit import Unit
from spark_infer.observe.progress import Progress

OnProgress = Callable[[Progress], None]


class UnitProgress:
    """Counts what is done and tells it; from any thread.

    Args:
        units: The units that this command has to score.
        total: All units of the run.
        rows: Rows of those to score; None where that is not known.
        on_progress: Called with it; None for nobody.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        total: int,
        rows: int | None,
        on_progress: OnProgress | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tasks = sum(len(unit.tasks) for unit in units)
        self._units_total = total
        self._units = total - len(units)
        self._rows = rows
        self._on_progress = on_progress
        self._clock = clock
        self._begin = clock()
        self._ended = 0
        self._running: dict[Hashable, int] = {}
        self._most = 0
        self._lock = threading.Lock()

    def running(self, what: Hashable = "all") -> Callable[[int, int, float], None] | None:
        """Takes the ended tasks of actions that still run, as Spark tells of them; None where nobody asks."""
        if self._on_progress is None:
            return None

        def tell(ended: int, _total: int, _seconds: float) -> None:
            with self._lock:
                self._running[what] = ended
            self._tell()

        return tell

    def begin(self) -> None:
        """Tell that tasks begin, which have the model to load first."""
        self._tell()

    def task(self) -> None:
        """Take one task that ended, of a unit whose tasks end one by one."""
        with self._lock:
            self._ended += 1
        self._tell()

    def unit(self, tasks: int = 0) -> None:
        """Take a unit that is scored, and its tasks where they were not taken one by one."""
        with self._lock:
            self._running.clear()
            self._ended += tasks
            self._units += 1
        self._tell()

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        with self._lock:
            # What Spark says of a stage is a moment old, and may still hold what has been counted.
            self._most = max(self._most, min(self._ended + sum(self._running.values()), self._tasks))
            seconds = self._clock() - self._begin
            progress = Progress(self._most, self._tasks, self._rows, seconds, self._units, self._units_total)
        self._on_progress(progress)
