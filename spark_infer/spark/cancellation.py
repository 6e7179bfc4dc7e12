"""Actions of one session in threads of their own, which can be cancelled together."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from pyspark.sql import SparkSession

from spark_infer.runtime.call_in_thread import Ended, Wait, call_in_thread
from spark_infer.spark.server import is_connect
from spark_infer.spark.versions import inheriting_thread

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Tagged:
    """Threads whose actions carry a tag.

    Args:
        spark: The session.
        tag: A name that no other action has.
    """

    def __init__(self, spark: SparkSession, tag: str) -> None:
        self._spark = spark
        self._tag = tag

    def thread(self, work: Callable[[], None]) -> threading.Thread:
        """Return a thread that is still to be started; it has the caller's job group and other local properties."""

        def tagged() -> None:
            if is_connect(self._spark):
                self._spark.addTag(self._tag)
            else:
                self._spark.sparkContext.addJobTag(self._tag)
            work()

        if is_connect(self._spark):
            return threading.Thread(target=tagged, name=self._tag, daemon=True)
        return inheriting_thread(self._spark, tagged, self._tag)

    def call(self, action: Callable[[], T], wait: Wait[T]) -> T:
        """Call an action in a thread of its own, and stop it when the wait for it ends in an error.

        Args:
            action: Starts tasks of Spark.
            wait: Waits for the one thing that comes into a queue, and raises when that takes too long.
        """
        waited = False

        def watched(done: queue.SimpleQueue[Ended[T]]) -> Ended[T]:
            nonlocal waited
            ended = wait(done)
            waited = True
            return ended

        try:
            return call_in_thread(action, watched, self.thread)
        finally:
            if not waited:
                self.cancel()

    def cancel(self) -> None:
        """Stop the actions that run."""
        try:
            if is_connect(self._spark):
                self._spark.interruptTag(self._tag)
            else:
                self._spark.sparkContext.cancelJobsWithTag(self._tag)
        except Exception as error:  # the failure that led here is the one to tell of
            logger.warning("Tasks of Spark that are of no use any more go on: %s", type(error).__name__)
