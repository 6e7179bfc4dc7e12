"""Score units on Spark: one action each, two at a time, so that no slot waits for the end of a unit."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.spark.direct import write_files
from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_progress import OnProgress, UnitProgress
from spark_infer.engines.unit_run import Scored, UnitRun
from spark_infer.spark.cancellation import Tagged
from spark_infer.spark.exceptions import translated
from spark_infer.spark.server import is_connect
from spark_infer.spark.tracking import tracking
from spark_infer.tables.storage import Storage

if TYPE_CHECKING:
    from spark_infer.spark import SparkSession

AT_ONCE = 2
_LAST_SECONDS = 3.0


class SparkUnits:
    """Scores units with tasks of Spark, whose workers read and write.

    Args:
        spark: The session.
        job: The job.
        run: Its run.
        on_progress: Called with how far the run is.
    """

    def __init__(self, spark: SparkSession, job: PreparedJob, run: UnitRun, on_progress: OnProgress | None) -> None:
        self._spark = spark
        self._job = job
        self._run = run
        self._on_progress = on_progress

    def __call__(
        self, units: Sequence[Unit], folder: Storage, session: str, wanted: Callable[[Unit], bool]
    ) -> Generator[Scored]:
        """Score units."""
        progress = UnitProgress(units, self._run.units, self._run.rows(units), self._on_progress)
        # A Connect server tells each thread of its own action; a classic session tells of all that run.
        by_thread = is_connect(self._spark)
        with tracking(self._spark, None if by_thread else progress.running(), all_stages=True):
            yield from self._side_by_side(units, folder, session, wanted, progress, by_thread=by_thread)

    def _side_by_side(
        self,
        units: Sequence[Unit],
        folder: Storage,
        session: str,
        wanted: Callable[[Unit], bool],
        progress: UnitProgress,
        *,
        by_thread: bool,
    ) -> Generator[Scored]:
        left: queue.SimpleQueue[Unit] = queue.SimpleQueue()
        for unit in units:
            left.put(unit)
        done: queue.SimpleQueue[Scored | BaseException | None] = queue.SimpleQueue()
        stopped = threading.Event()

        def work() -> None:
            try:
                while not stopped.is_set():
                    unit = left.get_nowait()
                    if wanted(unit):
                        with tracking(self._spark, progress.running(unit.ordinal) if by_thread else None):
                            done.put(self._scored(unit, folder, session))
            except queue.Empty:
                pass
            except BaseException as error:
                done.put(error)
                return
            done.put(None)

        side = Tagged(self._spark, f"spark_infer-{uuid.uuid4().hex}")
        threads = [side.thread(work) for _ in range(min(AT_ONCE, len(units)))]
        try:
            for thread in threads:
                thread.start()
            running = len(threads)
            while running:
                found = self._job.deadline.get(done)
                if found is None:
                    running -= 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    progress.unit(len(found.unit.tasks))
                    yield found
        finally:
            stopped.set()
            if any(thread.is_alive() for thread in threads):
                side.cancel()
            for thread in threads:
                # A task that was cancelled may hang for longer, and what it writes is nobody's.
                thread.join(_LAST_SECONDS)

    def _scored(self, unit: Unit, folder: Storage, session: str) -> Scored:
        begin = time.perf_counter()
        into = self._run.sink(session).into(folder.uri)
        with translated():
            files, stats = write_files(self._spark, self._job.scoring, self._job.plane, unit.tasks, into)
        return Scored(unit=unit, files=files, stats=stats, seconds=time.perf_counter() - begin)
