"""Score some rows by tasks of Spark and hand them back; nothing is written."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_infer.core.stats import STATS_TYPE, TaskTotals
from spark_infer.engines.direct_work import DirectWork
from spark_infer.engines.prepared_job import MatchedJob
from spark_infer.engines.preview_rows import Previewed, Selection, Shown, preview_task
from spark_infer.engines.spark.whole_write import scored_rows
from spark_infer.models.files.distribution import ModelFiles
from spark_infer.runtime.assignment import Assignment
from spark_infer.spark.cancellation import Tagged
from spark_infer.spark.exceptions import translated
from spark_infer.spark.indexed_tasks import collected
from spark_infer.spark.mapping import mapped
from spark_infer.spark.schema import to_spark
from spark_infer.spark.ship import open_folder
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.scan.task import Scan

if TYPE_CHECKING:
    from spark_infer.spark import DataFrame

_MORE = 4
"""How many times as many tasks the next action has, where the rows of the last one were too few; as Spark's `limit`."""

_TOLD = pa.schema([pa.field("rows", pa.binary()), pa.field("stats", STATS_TYPE)])
_HELD = pa.schema([pa.field("rows", pa.binary()), pa.field("scored", pa.int64())])


def preview(rows: DataFrame, job: MatchedJob, selection: Selection) -> Generator[Previewed]:
    """Score the rows of a selection: a sample in one action, the first rows in as many as it takes.

    Args:
        rows: The source, as Spark reads it.
        job: The job.
        selection: Which rows.
    """
    if job.plane.scan is None:
        yield from _read_by_spark(rows, job, selection)
    else:
        yield from _read_by_workers(rows, job, job.plane.scan, selection)


def _read_by_workers(rows: DataFrame, job: MatchedJob, scan: Scan, selection: Selection) -> Generator[Previewed]:
    selection, tasks = selection.among(job.plane.tasks)
    count = 1 if selection.share is None else len(tasks)
    while tasks:
        some, tasks, count = tasks[:count], tasks[count:], count * _MORE
        work = DirectWork.of(job.recipe, scan, some)
        function = partial(_task, work=work, files=job.files, selection=selection)
        spark, stage = rows.sparkSession, job.scoring.stage
        told = _in_time(rows, job, partial(collected, spark, len(some), function, to_spark(_TOLD), stage))
        yield from ((bytes(each["rows"]), each["stats"].asDict()) for each in told)


def _read_by_spark(rows: DataFrame, job: MatchedJob, selection: Selection) -> Generator[Previewed]:
    if selection.share is None:
        chosen = rows.limit(selection.rows)
    else:
        chosen = rows.sample(fraction=selection.share, seed=selection.seed)
    scored = scored_rows(chosen, job.config, job.scoring, job.plane, started_at=job.started_at)
    # mapInArrow looks its columns up unquoted, so that all names travel under numbers.
    numbered = (quote_name(name) for name in scored.frame.columns)
    frame = scored.frame.select(*(scored.frame[name].alias(f"c{place}") for place, name in enumerate(numbered)))
    held = mapped(frame, partial(_some, names=job.schema.names, rows=selection.rows), to_spark(_HELD))
    told = _in_time(rows, job, held.collect)
    totals = scored.totals() or TaskTotals(rows=sum(each["scored"] for each in told))
    yield from ((bytes(each["rows"]), {}) for each in told)
    yield b"", totals.as_task()


def _in_time(rows: DataFrame, job: MatchedJob, action: Callable[[], list[Any]]) -> list[Any]:
    with translated():
        return Tagged(rows.sparkSession, f"spark_infer-{uuid.uuid4().hex}").call(action, job.deadline.get)


def _task(
    number: int, assigned: Assignment, *, work: DirectWork, files: ModelFiles, selection: Selection
) -> Iterator[pa.RecordBatch]:
    rows, stats = preview_task(work, partial(open_folder, files), number, assigned, selection)
    yield pa.RecordBatch.from_pylist([{"rows": rows, "stats": stats}], schema=_TOLD)


def _some(batches: Iterator[pa.RecordBatch], *, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Take all rows of a partition, and hand back some."""
    shown = Shown(rows)
    for batch in batches:
        shown.add(batch.rename_columns(list(names)))
    yield pa.RecordBatch.from_pylist([{"rows": shown.to_stream(), "scored": shown.seen}], schema=_HELD)
