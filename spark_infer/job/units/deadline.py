"""The deadline of a whole command, kept while it waits for its workers."""

from __future__ import annotations

import queue
import time
from typing import TypeVar

from spark_infer.errors import DeadlineError

T = TypeVar("T")


class Deadline:
    """When a command must have scored all that it scores.

    Args:
        seconds: From now; None for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def get(self, told: queue.SimpleQueue[T]) -> T:
        """Wait for the next thing in a queue.

        Raises:
            DeadlineError: It did not come in time.
        """
        try:
            return told.get(timeout=None if self._end is None else max(0.0, self._end - time.monotonic()))
        except queue.Empty:
            raise DeadlineError(
                f"The job took longer than {self._seconds:g} seconds, and was stopped.",
                details=["units that were done stay done; where there are none, the same command begins anew"],
                next_step="run the same command again if `spark-infer status` tells of units that are done: it goes on "
                "from there; else raise deadline_seconds, or have smaller units (units.bytes).",
            ) from None
