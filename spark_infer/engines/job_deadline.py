"""The time of a whole command: when all must be done or it fails, and when it begins nothing more."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TypeVar

from spark_infer.config import JobConfig
from spark_infer.errors import DeadlineError
from spark_infer.runtime.call_in_thread import Ended, Wait, call_in_thread

T = TypeVar("T")


class Deadline:
    """When a command must have done all that it does, and when it begins no more units.

    Args:
        seconds: From now, until all must be done; None for ever.
        max_runtime: Seconds from now, until no unit begins any more; None for ever.
    """

    def __init__(self, seconds: float | None, max_runtime: float | None = None) -> None:
        self._seconds = seconds
        now = time.monotonic()
        self._end = None if seconds is None else now + seconds
        self._last_begin = None if max_runtime is None else now + max_runtime
        self._has_begun = False

    @classmethod
    def of(cls, config: JobConfig) -> Deadline:
        """The times that a job asks for, from now."""
        return cls(config.deadline_seconds, config.max_runtime)

    def begins(self) -> bool:
        """Whether one more unit begins; the first one always does, so that every command gets further."""
        is_first, self._has_begun = not self._has_begun, True
        return is_first or self._last_begin is None or time.monotonic() < self._last_begin

    def get(self, told: queue.SimpleQueue[T]) -> T:
        """Wait for the next thing in a queue.

        Raises:
            DeadlineError: It did not come in time.
        """
        try:
            return told.get(timeout=self._left())
        except queue.Empty:
            raise self._passed() from None

    def sleep(self, seconds: float) -> None:
        """Wait for somebody else.

        Raises:
            DeadlineError: There is no time left.
        """
        left = self._left()
        if left == 0:
            raise self._passed()
        time.sleep(seconds if left is None else min(seconds, left))

    def _passed(self) -> DeadlineError:
        return DeadlineError(
            f"The job took longer than {self._seconds:g} seconds, and was stopped.",
            details=["units that were done stay done; where there are none, the same command starts again"],
            next_step="run the same command again if `spark-infer status` tells of units that are done: it goes on "
            "from there; else raise deadline_seconds, or have smaller units (units.bytes).",
        )

    def plan(self, plan: Callable[[], T], call: Callable[[Callable[[], T], Wait[T]], T] | None = None) -> T:
        """Plan a job, in a thread of its own where there is a deadline; nothing else ends a wait in foreign code.

        The thread that is given up on changes no table; it ends with what it waits for, or with the process.

        Args:
            plan: Plans it.
            call: Calls that in a thread and waits for it, as `call_in_thread` does; stops what it started.

        Raises:
            DeadlineError: It took too long.
        """
        return plan() if self._end is None else (call or call_in_thread)(plan, self._planned)

    def _planned(self, ended: queue.SimpleQueue[Ended[T]]) -> Ended[T]:
        try:
            return ended.get(timeout=self._left())
        except queue.Empty:
            raise DeadlineError(
                f"The job took longer than {self._seconds:g} seconds while it was planned, and was stopped.",
                details=["nothing was scored, and no table has changed"],
                next_step="see which of them hangs: the storage of the source or the target, the registry, or the "
                "model while it loads; or raise deadline_seconds.",
            ) from None

    def _left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())
