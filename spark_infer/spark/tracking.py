"""How far Spark is while an action runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from spark_infer.spark.server import is_connect
from spark_infer.spark.versions import HAS_PROGRESS

logger = logging.getLogger(__name__)

OnTasks = Callable[[int, int, float], None]
"""Takes tasks done, tasks known so far, and seconds since the start."""

Counted = Callable[[Iterable[tuple[int, int]]], tuple[int, int] | None]


@contextmanager
def tracking(
    spark: SparkSession, on_tasks: OnTasks | None, *, all_stages: bool = False, every_seconds: float = 0.5
) -> Iterator[None]:
    """Report the tasks of the widest running stage while the block runs; silent where Spark does not tell.

    A classic session is asked every so often by a thread of our own. A Spark Connect server tells of its own accord, in
    the thread that waits for it, as often as `spark.connect.progress.reportInterval` says (2 s by default).

    Args:
        spark: The session.
        on_tasks: Called with it.
        all_stages: Whether the stages that run side by side are added up; a Connect server tells of the thread's alone.
        every_seconds: How often a classic session is asked.
    """
    if on_tasks is None or (is_connect(spark) and not HAS_PROGRESS):
        yield
        return
    with (
        _described(spark, on_tasks)
        if is_connect(spark)
        else _asking(spark, on_tasks, _added if all_stages else _widest, every_seconds)
    ):
        yield


@contextmanager
def _described(spark: SparkSession, on_tasks: OnTasks) -> Iterator[None]:
    mine = threading.get_ident()
    start = time.perf_counter()

    def progressed(*, stages: Iterable[Any] | None, **_: object) -> None:
        if threading.get_ident() != mine:  # another action of the same session
            return
        known = list(stages or ())
        # Stages that are done count where none runs: short ones may be reported only then.
        shown = [stage for stage in known if not stage.done] or known
        counts = _widest((stage.num_completed_tasks, stage.num_tasks) for stage in shown)
        if counts is None:
            return
        try:
            on_tasks(*counts, time.perf_counter() - start)
        except Exception:  # It runs inside the action, which is worth more than its progress.
            logger.exception("Progress could not be shown")

    handler: Any = progressed
    spark.registerProgressHandler(handler)
    try:
        yield
    finally:
        spark.removeProgressHandler(handler)


@contextmanager
def _asking(spark: SparkSession, on_tasks: OnTasks, counted: Counted, every_seconds: float) -> Iterator[None]:
    tracker = _tracker(spark)
    if tracker is None:
        yield
        return
    done = threading.Event()
    start = time.perf_counter()

    def poll() -> None:
        while not done.wait(every_seconds):
            counts = _tasks(tracker, counted)
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
    except Exception:  # A managed platform may keep it from us; progress is worth no failure.
        return None


def _tasks(tracker: Any, counted: Counted) -> tuple[int, int] | None:
    try:
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    except Exception:  # The session may be stopping; progress is worth no failure.
        return None
    return counted((stage.numCompletedTasks, stage.numTasks) for stage in stages if stage is not None)


def _widest(stages: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    """Return tasks done and tasks of the stage with the most tasks."""
    return max(stages, key=lambda stage: stage[1], default=None)


def _added(stages: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    """Return tasks done and tasks of all stages."""
    known = list(stages)
    return (sum(done for done, _ in known), sum(total for _, total in known)) if known else None
