"""A Spark session that starts in a thread, while the job is made ready as far as that needs none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spark_infer.errors import EnvironmentProblem

if TYPE_CHECKING:
    from spark_infer.spark import SparkSession

logger = logging.getLogger(__name__)

Open = Callable[[Callable[[], None]], "SparkSession"]
"""Opens a session; calls what it is given when the JVM is up and before Spark starts in it."""


class StartingSession:
    """A session that starts: its JVM at once, Spark in it after `go_on`.

    Args:
        open_session: Opens it, in a thread that keeps nobody waiting.

    Attributes:
        session: Becomes the session, or the error for which there is none.
    """

    def __init__(self, open_session: Open) -> None:
        self.session: Future[SparkSession] = Future()
        self._is_wanted: Future[bool] = Future()
        threading.Thread(target=self._start, args=[open_session], name="spark_infer-session", daemon=True).start()

    def _start(self, open_session: Open) -> None:
        try:
            self.session.set_result(open_session(self._require_wanted))
        except BaseException as error:  # raised in the thread that asks for the session
            self.session.set_exception(error)

    def _require_wanted(self) -> None:
        if not self._is_wanted.result():
            raise EnvironmentProblem("Spark is not needed any more.")

    def go_on(self) -> None:
        """Let Spark start in its JVM."""
        self._is_wanted.set_result(True)

    def end(self, *, waits: bool) -> None:
        """Stop the session; a JVM in which Spark did not start ends with this process.

        Args:
            waits: Whether to wait for Spark where it is starting, which cannot be interrupted.
        """
        if not self._is_wanted.done():
            self._is_wanted.set_result(False)
        if (waits or self.session.done()) and self.session.exception() is None:
            stop(self.session.result())


@contextmanager
def starting_session(open_session: Open) -> Iterator[StartingSession]:
    """Lend a session that starts meanwhile, and stop it at the end."""
    starting = StartingSession(open_session)
    waits = True
    try:
        yield starting
    except KeyboardInterrupt:
        waits = False  # a cluster may take minutes; what has not started ends with this process
        raise
    finally:
        starting.end(waits=waits)


def started(spark: SparkSession) -> Future[SparkSession]:
    """Return a session that is there, as one that has started."""
    session: Future[SparkSession] = Future()
    session.set_result(spark)
    return session


def stop(spark: SparkSession) -> None:
    """Stop a session."""
    try:
        spark.stop()
    except Exception as error:  # its Java process may be gone, which the command then says itself
        logger.warning("Spark could not be stopped: %s", error)
