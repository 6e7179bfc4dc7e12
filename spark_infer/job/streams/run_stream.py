"""Run a stream: each micro-batch is scored and published by the path of table jobs, exactly once."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from spark_infer.core.stats import TaskTotals
from spark_infer.engines.base import Engine, RunningStream
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.unit_progress import OnProgress
from spark_infer.errors import WriteError
from spark_infer.job.account import facts_of, report_of
from spark_infer.job.prepare import resolved_model
from spark_infer.job.run import write_at_once
from spark_infer.job.streams.prepare_stream import find_checkpoint_of, prepare_stream, tables_of
from spark_infer.job.streams.stream_report import with_batch
from spark_infer.observe.report import Report
from spark_infer.printable import counted
from spark_infer.runtime.stop_signals import say_how_far
from spark_infer.tables.formats import format_of
from spark_infer.tables.plan import WritePlan, Written

logger = logging.getLogger(__name__)


def run_stream(job: PreparedJob, *, on_progress: OnProgress | None = None) -> Report:
    """Follow the source until all of it is scored (`available_now`), or until the query is stopped.

    Raises:
        RunError: A micro-batch failed; those before it are in the target, and the same command goes on from there.
    """
    started, batches = start_stream(job, on_progress=on_progress)
    try:
        started.wait()
    except KeyboardInterrupt as stopped:
        say_how_far(stopped, f"{counted(batches.report.micro_batches, 'micro-batch', 'micro-batches')} published")
        raise
    return batches.report


def start_stream(job: PreparedJob, *, on_progress: OnProgress | None = None) -> tuple[RunningStream, Batches]:
    """Make the target, where there is none, and start the stream.

    Raises:
        RunError: The target could not be made.
    """
    engine = job.engine
    with engine.running():
        seconds = engine.prepare_workers(job)
        if job.write.creates or (job.quarantine is not None and job.quarantine.write.creates):
            # So that each micro-batch is a commit like the others, which Delta takes once.
            engine.whole_writer(job, None).make_empty(facts_of(job))
            with engine.planning():
                job = replace(job, **tables_of(job))
        checkpoint = find_checkpoint_of(job)
        checkpoint.take()
    batches = Batches(job, seconds, on_progress)
    return engine.start_stream(job, checkpoint.uri, batches.take), batches


class Batches:
    """The micro-batches of one stream, and the account of them.

    Args:
        job: The job.
        seconds: Wall seconds of its steps before the first.
        on_progress: Called while tasks run.
    """

    def __init__(self, job: PreparedJob, seconds: dict[str, float], on_progress: OnProgress | None) -> None:
        nothing = Written(job.write.location, None, 0, 0, 0)
        self.report = replace(report_of(job, nothing, TaskTotals(), seconds), nothing_new=True)
        self._job = job
        self._on_progress = on_progress

    def take(self, engine: Engine[Any], stream: str, number: int) -> None:
        """Score a micro-batch and publish it, unless the target has it.

        Args:
            engine: Has the rows as its source.
            stream: The stream, by which the target knows its batches.
            number: The batch.

        Raises:
            RunError: It failed, and comes again when the stream is started again.
            PlanError: A model that the stream takes from now on does not fit.
        """
        if self._job.config.refresh_model:
            self._refresh_model()
        job = replace(self._job, run_id=f"{stream}/{number}", started_at=datetime.now(timezone.utc))
        with engine.running():
            if is_published(job.write, stream, number):
                logger.info("Micro-batch %d of stream %s is in the target already", number, stream)
                return
            done = write_at_once(engine.whole_writer(job, self._on_progress), job, {}, txn=(stream, number))
        self.report = with_batch(self.report, done, run_id=stream)
        logger.info("Micro-batch %d of stream %s: %d rows scored", number, stream, done.rows_scored)

    def _refresh_model(self) -> None:
        ref = resolved_model(self._job.config)
        if ref.digest == self._job.recipe.ref.digest and ref.version == self._job.recipe.ref.version:
            return
        engine, config = self._job.engine, self._job.config
        job = prepare_stream(engine, config, model=ref, deadline=self._job.deadline)
        with engine.running():
            engine.prepare_workers(job)
        logger.info("%s scores from now on, in the place of %s", ref, self._job.recipe.ref)
        self._job = job


def is_published(write: WritePlan, stream: str, number: int) -> bool:
    """Whether the target has a micro-batch.

    Raises:
        WriteError: It has later ones: the checkpoint is older than the target, and the rows may be others.
    """
    storage = write.location.storage()
    newest = None if storage is None else format_of(write.location.format).written.newest_batch(storage, stream)
    if newest is not None and newest > number:
        raise WriteError(
            f"The target {write.location.name} has micro-batch {newest} of this stream, and the checkpoint is at "
            f"{number}: it was put back to an older state.",
            details=["nobody can tell whether this batch holds the rows that were published under its number"],
            next_step="bring the newest checkpoint back; or begin with a new one, and a new target.",
        )
    return newest == number
