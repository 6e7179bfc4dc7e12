"""Named points between the steps of a run, where a test can break it.

``SPARK_INFER_FAULT="seal:2:sigkill"`` does something at the second time that a process comes to the point ``seal``;
with ``:/tmp/done`` behind it, only in the first process that comes so far, which makes that file. The variable is
refused unless ``SPARK_INFER_TESTING=1`` is set as well. Without it a point costs a comparison of two names.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from spark_infer.errors import EnvironmentProblem

_SLOW_SECONDS = 0.3


class InjectedError(RuntimeError):
    """What the action ``raise`` raises."""


def _raise(point: str) -> NoReturn:
    raise InjectedError(f"fault at {point}")


def _full(point: str) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), point)


ACTIONS: dict[str, Callable[[str], None]] = {
    "raise": _raise,
    "enospc": _full,
    "sigkill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "sigstop": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "delay": lambda _: time.sleep(_SLOW_SECONDS),
}


class Failpoints:
    """The points of a process, one of which may break.

    Args:
        fault: What breaks where: ``seal:2:sigkill``; empty for nothing.
        environ: The environment of this process.

    Raises:
        EnvironmentProblem: There is a fault, and this is not a test.
    """

    def __init__(self, fault: str, environ: Mapping[str, str]) -> None:
        if fault and environ.get("SPARK_INFER_TESTING") != "1":
            raise EnvironmentProblem(
                "SPARK_INFER_FAULT is set, which breaks runs on purpose.", next_step="unset it; it is for tests alone."
            )
        self._point, nth, self._action, *once = fault.split(":", 3) if fault else ("", "0", "")
        self._left = int(nth)
        self._once = Path(once[0]) if once else None

    def reach(self, point: str) -> None:
        """Reach a named point; does nothing outside a test of faults."""
        if point == self._point:
            self._left -= 1
            if self._left == 0 and self._is_first():
                ACTIONS[self._action](point)

    def _is_first(self) -> bool:
        try:
            if self._once is not None:
                self._once.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
