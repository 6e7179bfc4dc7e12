"""Commit again where another writer of the table was quicker; nothing is scored again for that."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from spark_infer.errors import CommitConflictError

logger = logging.getLogger(__name__)

TRIES = 5

Look = TypeVar("Look")
Answer = TypeVar("Answer")


def tried(look: Callable[[], Look], commit: Callable[[Look], Answer], name: str) -> Answer:
    """Look at a table and commit to it, again when another writer's commit comes in between.

    Args:
        look: Sees whether the table, as it is now, still takes the commit.
        commit: Commits to the table as it was seen.
        name: The table, for the log.

    Raises:
        CommitConflictError: The table does not take the commit any more, or others were quicker five times.
    """
    for attempt in range(1, TRIES):
        seen = look()
        try:
            return commit(seen)
        except CommitConflictError as error:
            logger.warning("Another writer changed %s; committing again: %s", name, error.what)
            time.sleep(random.uniform(0.1, 0.3) * 2**attempt)
    return commit(look())
