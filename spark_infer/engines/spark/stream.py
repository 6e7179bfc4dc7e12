"""A table that is followed as a stream: Spark's query hands over its micro-batches, one after the other."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from spark_infer.config.trigger import AVAILABLE_NOW
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.spark.spark_errors import while_running
from spark_infer.errors import EnvironmentProblem, SourceReadError
from spark_infer.runtime.call_in_thread import call_in_thread
from spark_infer.spark.analysis import sentence_of
from spark_infer.spark.exceptions import is_sparks, translate
from spark_infer.spark.server import is_connect
from spark_infer.spark.tables.frames import filtered
from spark_infer.spark.tables.spark_formats import spark_format_of

if TYPE_CHECKING:
    from spark_infer.engines.base import Engine, TakeBatch
    from spark_infer.spark import DataFrame, SparkSession

logger = logging.getLogger(__name__)

_NEXT_STEPS = {
    "DELTA_SOURCE_(TABLE_IGNORE_CHANGES|IGNORE_DELETE)": "a stream takes rows that are added; with stream_options: "
    "{skipChangeCommits: true} it passes over such commits. `incremental` with target.mode merge follows changes too.",
    "concurrently using": "another command runs this stream: wait for it, or stop it.",
}
_GOES_ON = "look at the source; the same command goes on after the last micro-batch that was published."


class SparkStream:
    """A streaming query of Spark.

    Args:
        rows: The source as a stream.
        job: The job.
        checkpoint: The folder that says how far the stream is.
        engine_of: Makes an engine whose source are the rows of a micro-batch.
        take: Scores and writes one.
    """

    def __init__(
        self,
        rows: DataFrame,
        job: PreparedJob,
        checkpoint: str,
        engine_of: Callable[[DataFrame], Engine[Any]],
        take: TakeBatch,
    ) -> None:
        self._engine_of = engine_of
        self._take = take
        self._name: Future[str] = Future()
        self._failure: BaseException | None = None
        trigger = job.config.trigger
        when = {"availableNow": True} if trigger == AVAILABLE_NOW else {"processingTime": trigger}
        writer = rows.writeStream.foreachBatch(self._take_batch).option("checkpointLocation", checkpoint)
        self.query: Any = writer.trigger(**when).start()
        self._name.set_result(str(self.query.id))

    def wait(self) -> None:
        """Wait until the query ends, and stop it where the wait is given up."""
        with while_running():
            try:
                # Ctrl-C in the middle of a call would leave its answer to the next call of this thread.
                call_in_thread(self.query.awaitTermination, lambda done: done.get())
            except Exception as error:
                raise self._failure or _translated(error) from error
            finally:
                self._stop()

    def _stop(self) -> None:
        try:
            if self.query.isActive:
                self.query.stop()
        except Exception as error:  # a signal to the whole group ends Spark too, and its query with it
            logger.warning("The query could not be stopped: %s", error)

    def _take_batch(self, rows: DataFrame, number: int) -> None:
        # The query's id is that of its checkpoint: it stays when the query starts again.
        try:
            self._take(self._engine_of(rows), self._name.result(), number)
        except BaseException as error:
            self._failure = error
            raise


def stream_rows(spark: SparkSession, schema: Any, job: PreparedJob) -> DataFrame:
    """Return the rows that the source has, and those that come, which the job's conditions leave.

    Args:
        spark: The session.
        schema: The source's columns.
        job: The job.

    Raises:
        EnvironmentProblem: The session cannot call this process for each micro-batch.
        SourceError: ``where`` cannot be used.
    """
    if is_connect(spark):
        raise EnvironmentProblem(
            "A stream needs a session in the process of its driver, and this one is of Spark Connect.",
            next_step="run the job where Spark's driver is; or score a streaming DataFrame with `score`, and write it "
            "with writeStream.",
        )
    source, snapshot = job.config.source, job.snapshot
    rows = spark_format_of(snapshot.location.format).stream(spark, snapshot, schema, job.config.stream_options)
    return filtered(rows, snapshot, source)


def _translated(error: Exception) -> Exception:
    """Say why a query ended that no micro-batch of ours has ended."""
    found = translate(error)
    if found is not None or not is_sparks(error):
        return found or error
    # Delta's own words quote the condition of the change, which holds values.
    words = re.sub(r" \(for example .*?\)(?= in the source table)", "", sentence_of(error), flags=re.DOTALL)
    words = re.sub(r"^Query \[.*?\] terminated with exception: (\[\w+\] )?", "", words)
    next_step = next((step for sign, step in _NEXT_STEPS.items() if re.search(sign, str(error))), _GOES_ON)
    return SourceReadError(f"Spark ended the stream: {words}", next_step=next_step)
