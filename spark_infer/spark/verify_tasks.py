"""Score the same few rows by as many tasks of Spark as run at once, and say what is installed where each ran."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import SparkSession

from spark_infer.config import ResourceOptions, ScoreOptions
from spark_infer.errors import PlanError
from spark_infer.models.driver import open_store
from spark_infer.models.files.distribution import ModelFiles
from spark_infer.models.installed import versions_here
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.worker import score_table_batches
from spark_infer.models.worker_answer import WorkerAnswer
from spark_infer.runtime.assignment import Assignment
from spark_infer.spark.exceptions import translated
from spark_infer.spark.indexed_tasks import collected
from spark_infer.spark.preflight import check_local_python, check_workers
from spark_infer.spark.prepare import prepare
from spark_infer.spark.resources.stage import plan_stage
from spark_infer.spark.schema import to_spark
from spark_infer.spark.ship import open_folder, ship

_HOLD_SECONDS = 0.5
"""How long a task holds its slot at least, so that one worker does not do the tasks of all others."""

_TOLD = pa.schema([("answers", pa.binary()), ("host", pa.string()), ("versions", pa.string())])


def score_on_workers(
    spark: SparkSession, ref: ModelRef, rows: pa.RecordBatch, names: Sequence[str]
) -> list[WorkerAnswer]:
    """Score the same rows in as many tasks as run at once.

    Args:
        spark: The session.
        ref: The pinned model.
        rows: The rows.
        names: The distributions whose versions are asked for.

    Raises:
        PlanError: Spark runs the model itself, or the session does not fit it.
        RunError: A worker failed.
    """
    stage, store = plan_stage(spark, ResourceOptions()), open_store()
    scoring = prepare(spark, ref, rows.schema, ScoreOptions(), store=store, stage=stage, keep=())
    if scoring.sparkml is not None:
        raise PlanError(
            f"{ref} is a Spark ML pipeline, which no worker loads.", next_step="try it with `spark-infer preview`."
        )
    check_local_python(spark, scoring.recipe)
    check_workers(spark, scoring.recipe)
    ship(spark, store, scoring.files)
    work = partial(_answer, recipe=scoring.recipe, files=scoring.files, rows=_to_bytes(rows), names=tuple(names))
    with translated():
        found = collected(spark, stage.slots(spark) or 1, work, to_spark(_TOLD), stage)
    return [
        WorkerAnswer(answers=_from_bytes(each["answers"]), host=each["host"], versions=json.loads(each["versions"]))
        for each in found
    ]


def _answer(
    number: int, assigned: Assignment, *, recipe: Recipe, files: ModelFiles, rows: bytes, names: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    free_at = time.monotonic() + _HOLD_SECONDS
    scored = list(score_table_batches(recipe, partial(open_folder, files), [_from_bytes(rows)], assigned))
    told = {
        "answers": _to_bytes(pa.Table.from_batches(scored).combine_chunks().to_batches()[0]),
        "host": socket.gethostname(),
        "versions": json.dumps(versions_here(names)),
    }
    time.sleep(max(0.0, free_at - time.monotonic()))
    yield pa.RecordBatch.from_pylist([told], schema=_TOLD)


def _to_bytes(batch: pa.RecordBatch) -> bytes:
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(stream.getvalue())


def _from_bytes(content: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(bytes(content)) as reader:
        return reader.read_next_batch()
