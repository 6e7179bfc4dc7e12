"""Try again what failed for no fault of its rows: units that are done stay done, and the others are scored again."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from spark_infer.config.retry import RetryOptions
from spark_infer.errors import (
    CommitConflictError,
    ModelFilesError,
    RunError,
    SourceReadError,
    SparkMustReadError,
    WorkerLostError,
    WriteError,
)

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_MAY_PASS = (OSError, SourceReadError, WriteError, ModelFilesError, WorkerLostError)
_STAYS = (SparkMustReadError, CommitConflictError)
_MOST_SECONDS = 3600.0


def retried(
    work: Callable[[], Answer], options: RetryOptions | None, sleep: Callable[[float], None]
) -> Callable[[], Answer]:
    """Return the same work, tried several times where files cannot be reached or a worker process is lost.

    Args:
        work: Does what is left of a run; what it did before it failed stays done.
        options: How often; None for once.
        sleep: Waits some seconds, and raises where the job's deadline is over.
    """

    def attempts() -> Answer:
        left, wait = (1, 0.0) if options is None else (options.attempts, options.backoff)
        while True:
            left -= 1
            try:
                return work()
            except (RunError, OSError) as error:
                if not left or not may_pass(error):
                    raise
                logger.warning("Trying again in about %.0f s, %d attempts left: %s", wait, left, error)
            sleep(wait * random.uniform(1.0, 1.2))
            wait = min(2 * wait, _MOST_SECONDS)

    return attempts


def may_pass(error: RunError | OSError) -> bool:
    """Whether an error may be gone the next time: of a disk, a network or a process, not of a row, model or plan."""
    return isinstance(error, _MAY_PASS) and not isinstance(error, _STAYS)
