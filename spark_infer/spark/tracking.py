"""How far Spark is, asked from beside while an action runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

OnTasks = Callable[[int, int, float], None]
"""Takes tasks done, tasks known so far, and seconds since the start."""


@contextmanager
def tracking(spark: SparkSession, on_tasks: OnTasks | None, *, every_seconds: float = 0.5) -> Iterator[None]:
    """Report the tasks of the widest running stage while the block runs; silent where Spark does not tell.

    Spark Connect has no status tracker on the client: there nothing is reported.
    """
    tracker = _tracker(spark) if on_tasks is not None else None
    if tracker is None or on_tasks is None:
        yield
        return
    done = threading.Event()
    start = time.perf_counter()

    def poll() -> None:
        while not done.wait(every_seconds):
            counts = _tasks(tracker)
            if counts is not None:
                on_tasks(*counts, time.perf_counter() - start)

    thread = threading.Thread(target=poll, name="spark_infer-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5)


def _tracker(spark: SparkSession) -> Any:
    try:
        return spark.sparkContext.statusTracker()
    except Exception:  # Spark Connect has no sparkContext; progress is worth no failure.
        return None


def _tasks(tracker: Any) -> tuple[int, int] | None:
    try:
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    except Exception:  # The session may be stopping; progress is worth no failure.
        return None
    running = [stage for stage in stages if stage is not None]
    if not running:
        return None
    widest = max(running, key=lambda stage: stage.numTasks)
    return widest.numCompletedTasks, widest.numTasks
