"""The streaming door: `score_stream`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from typing_extensions import Unpack

from spark_infer.config import JobConfig
from spark_infer.config.keywords import StreamKeywords, mapping, spells_out, unknown_options
from spark_infer.config.trigger import AVAILABLE_NOW
from spark_infer.config.validate_options import validated
from spark_infer.config.write_modes import MODES
from spark_infer.engines.unit_progress import OnProgress
from spark_infer.job.choose_engine import engine_of
from spark_infer.job.door_settings import job_settings, pinned_model
from spark_infer.job.prepare import prepare_job
from spark_infer.job.session import find_model, hiding_secrets, open_session
from spark_infer.job.streams.run_stream import run_stream, start_stream
from spark_infer.models.callables.callable_model import AnyModel
from spark_infer.observe.report import Report
from spark_infer.spark.starting_session import started

if TYPE_CHECKING:
    from spark_infer.spark import StreamingQuery

Table = str | os.PathLike[str] | Mapping[str, Any]
_LACKS = {
    "limit": "a stream scores all rows; score_table(…, limit=20) shows some",
    "new_run": "a new checkpoint begins with all rows of the source",
    "job_params": "a job file has parameters: ScoringJob.from_yaml(path, params=…)",
}

Model = AnyModel | Mapping[str, Any]


@overload
def score_stream(  # type: ignore[overload-overlap]  # the one word among the texts
    source: Table,
    target: Table,
    model: Model,
    *,
    checkpoint: str | os.PathLike[str],
    trigger: Literal["available_now"] = "available_now",
    spark: Any = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[StreamKeywords],
) -> Report: ...


@overload
def score_stream(
    source: Table,
    target: Table,
    model: Model,
    *,
    checkpoint: str | os.PathLike[str],
    trigger: str,
    spark: Any = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[StreamKeywords],
) -> StreamingQuery: ...


@spells_out(StreamKeywords)
def score_stream(
    source: Table,
    target: Table,
    model: Model,
    *,
    checkpoint: str | os.PathLike[str],
    trigger: str = AVAILABLE_NOW,
    spark: Any = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[StreamKeywords],
) -> Report | StreamingQuery:
    """Follow a table as a stream, and add the predictions of each micro-batch to a Delta table exactly once.

    The rows of a micro-batch are one commit, which Delta takes once: a batch that is run again after a failure adds
    nothing. The target is made if it does not exist. The session has to be in the process of Spark's driver.

    Args:
        source: Path of a Delta table or of a folder of Parquet files, or the keys of a job file's ``source``.
        target: Path of a Delta table, or the keys of a job file's ``target``; its mode is ``append``.
        model: Model URI, the keys of a job file's ``model``, a `ModelRef`, or a plain Python function, class or
            `CallableModel`. The version that it means now scores all micro-batches, unless ``refresh_model`` says
            otherwise.
        checkpoint: Folder of this stream alone, in which Spark notes how far it is. One that does not exist begins with
            all rows of the source.
        trigger: ``available_now`` scores what is new, waits for it, and ends. An interval such as ``30 seconds`` looks
            for new rows until the query is stopped.
        spark: The session; without it the running one, or one that is started.
        on_progress: Called about twice a second while tasks run, from another thread.
        **options: Further keys of a job file, and those of its ``score``; `StreamKeywords` has their names and types.

    Returns:
        For ``available_now`` the `Report` of all micro-batches together; for an interval Spark's ``StreamingQuery``,
        whose ``awaitTermination()``, ``lastProgress`` and ``stop()`` are as in Spark.

    Raises:
        PlanError: Refused; no Spark task has started and nothing has changed on disk.
        RunError: A micro-batch failed; those before it are in the target, and the same call goes on from there.

    Example:
        >>> report = score_stream(
        ...     "data/flights", "data/followed", "models:/flight_delay@champion", checkpoint="data/checkpoints/followed"
        ... )
        >>> report.rows_scored, report.micro_batches
        (3, 1)
    """
    unknown = unknown_options(score_stream, options, lacks=_LACKS)
    if not isinstance(model, str | os.PathLike | Mapping) and options.get("refresh_model"):
        unknown.append("refresh_model: a ModelRef or a Python function is one version; give a model URI with an alias")
    settings = job_settings(model, dict(options), source=source, target=_added_to(target))
    config = validated(JobConfig, {**settings, "trigger": trigger, "checkpoint": checkpoint}, unknown)
    with hiding_secrets(config):
        pinned = pinned_model(model, config)
        if pinned is None:
            find_model(config)
        job = prepare_job(engine_of(config, lambda: started(spark or open_session(config))), config, model=pinned)
        if config.trigger == AVAILABLE_NOW:
            return run_stream(job, on_progress=on_progress)
        stream, _ = start_stream(job, on_progress=on_progress)
        query: StreamingQuery = stream.query
        return query


def _added_to(target: Table) -> dict[str, Any]:
    """The keys of a target, whose mode is the one that adds rows where it names none."""
    keys = {"path": target} if isinstance(target, str | os.PathLike) else mapping(target, "target")
    return {"mode": next(mode.name for mode in MODES.values() if mode.adds_only), **keys}
