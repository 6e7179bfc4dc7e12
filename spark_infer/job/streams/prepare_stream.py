"""A job that follows its source, made ready: the same checks as for other table jobs; nothing has run."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Any

import pyarrow as pa

from spark_infer.config import JobConfig, TargetConfig
from spark_infer.engines.base import Engine
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.prepared_job import MatchedJob, PreparedJob
from spark_infer.errors import ConfigError, TargetError
from spark_infer.job.prepare import match_job
from spark_infer.job.quarantine_plan import QuarantinePlan, as_target_of, quarantine_schema
from spark_infer.job.streams.checkpoint import Checkpoint, find_checkpoint
from spark_infer.models.ref import ModelRef
from spark_infer.tables.check_target import plan_write
from spark_infer.tables.formats import FORMATS, format_of
from spark_infer.tables.location import same_table
from spark_infer.tables.plan import WritePlan


def prepare_stream(
    engine: Engine[Any],
    config: JobConfig,
    *,
    model: ModelRef | None,
    new_run: bool = False,
    loads: bool = True,
    deadline: Deadline,
) -> PreparedJob:
    """Resolve the model, match it to the source as it is now, and check target and checkpoint; start no task.

    Args:
        engine: Where the stream will run.
        config: The job.
        model: The pinned model, where the caller has resolved it already.
        new_run: Whether the user asks for a new run, which a stream does not have.
        loads: Whether the model may be loaded here.
        deadline: When planning must be done.

    Raises:
        PlanError: Something does not fit; nothing has run and nothing has changed.
    """
    if new_run:
        raise ConfigError(
            "A stream has no runs, and a new one was asked for.",
            next_step="name a new checkpoint, which begins with all rows of the source, and a new target.",
        )
    begin = time.perf_counter()
    by_spark = config.model_copy(update={"plane": "spark"})
    found = match_job(engine, by_spark, model=model, loads=loads, deadline=deadline)
    # A micro-batch is of no version: Spark's checkpoint says what has been read.
    snapshot = replace(found.snapshot, version=None)
    job = replace(
        found,
        config=config,
        source=replace(found.source, snapshot=snapshot),
        plane=replace(found.plane, why="in micro-batches"),
    )
    decided = {**vars(job), "seconds": {"plan": time.perf_counter() - begin}}
    with engine.planning():
        prepared = PreparedJob(**decided, **tables_of(job), run_id=uuid.uuid4().hex, start=None, bookmark=None)
    if find_checkpoint_of(prepared).is_begun and prepared.write.creates:
        raise TargetError(
            f"The target {prepared.write.location.name} is gone, and the checkpoint of the stream says that it held "
            "rows.",
            next_step="bring the target back; or begin with a new checkpoint, and all rows of the source.",
        )
    return prepared


def find_checkpoint_of(job: PreparedJob) -> Checkpoint:
    """Find the checkpoint of a stream, and check that it is this job's."""
    return find_checkpoint(job.engine.tables, job.config, source=job.snapshot.location, target=job.write.location)


def tables_of(job: MatchedJob) -> dict[str, Any]:
    """Plan the writes of a stream: the fields `write` and `quarantine` of its job.

    Raises:
        TargetError: Rows may not be added to a table, or it does not know which micro-batches it has.
    """
    write = _planned(job, job.config.target, job.schema)
    wanted = job.config.quarantine
    if wanted is None:
        return {"write": write}
    schema = quarantine_schema(job.source.schema, wanted.columns)
    aside = _planned(job, as_target_of(wanted), schema)
    if same_table(aside.location, write.location):
        raise TargetError(
            f"The quarantine table {aside.location.name} shares its folder with the target {write.location.name}.",
            next_step="choose a folder outside the target's, and not around it.",
        )
    quarantine = QuarantinePlan(write=aside, schema=schema, sink=None, columns=wanted.columns)
    return {"write": write, "quarantine": quarantine}


def _planned(job: MatchedJob, target: TargetConfig, schema: pa.Schema) -> WritePlan:
    takes_once = next(each.name for each in FORMATS.values() if each.spark_commits)
    # A new table is of a format that knows its micro-batches, whatever the source is.
    source = replace(job.snapshot, location=replace(job.snapshot.location, format=takes_once))
    write = plan_write(job.engine.tables, target, snapshot=source, schema=schema)
    if not format_of(write.location.format).spark_commits:
        raise TargetError(
            f"{write.location.name} is a {write.location.format.capitalize()} table, whose files do not say which "
            "micro-batch wrote them.",
            details=["a batch that is written again after a failure would be in it twice"],
            next_step=f"choose a {takes_once.capitalize()} table, or a place where there is none yet.",
        )
    return write
