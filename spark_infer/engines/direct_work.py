"""What a worker of the direct plane does with one task: read, score, hand on. Knows nothing of Spark's rows."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from spark_infer.core.prediction_cache import PredictionCache
from spark_infer.core.stats import Stats
from spark_infer.errors import RunError
from spark_infer.models.recipe import Recipe
from spark_infer.models.worker import score_rows, score_table_batches, scored_columns
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.paths import logged_path
from spark_infer.tables.prediction_cache.index import open_index
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Scan, ScanTask
from spark_infer.tables.sink.new_predictions import NewPredictions
from spark_infer.tables.sink.quarantine import Quarantine
from spark_infer.tables.sink.sink import ParquetSink
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile
from spark_infer.tables.sink.summary import Part

_MOST_FILES = 3


@dataclass(frozen=True, kw_only=True)
class DirectWork:
    """What every task of a run needs; plain values, pickled to the workers.

    Attributes:
        recipe: How to score.
        scan: How to read.
        tasks: Each task, pickled: a worker unpickles its own alone.
    """

    recipe: Recipe
    scan: Scan
    tasks: tuple[bytes, ...]

    @classmethod
    def of(cls, recipe: Recipe, scan: Scan, tasks: Sequence[ScanTask]) -> DirectWork:
        """Put the work of a run together."""
        return cls(recipe=recipe, scan=scan, tasks=tuple(map(pickle.dumps, tasks)))

    def task(self, number: int) -> ScanTask:
        """Return one task."""
        task: ScanTask = pickle.loads(self.tasks[number])
        return task


def scored_rows(
    work: DirectWork, folder: Callable[[], Path], number: int, assigned: Assignment, *, stats_column: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Read and score the rows of one task: kept columns, then prediction columns.

    Args:
        work: The run.
        folder: Finds the model's files on this node.
        number: Which task.
        assigned: Where it runs.
        stats_column: Name of a further column that carries what scoring cost.
    """
    threads = assigned.cpus or work.recipe.load.threads
    rows = read_task(work.task(number), work.scan, threads=threads)
    return score_table_batches(work.recipe, folder, rows, assigned, stats_column=stats_column)


def written_files(
    work: DirectWork, folder: Callable[[], Path], number: int, assigned: Assignment, sink: SinkSpec
) -> tuple[list[WrittenFile], dict[str, int | float | str]]:
    """Read, score and write the rows of one task.

    Args:
        work: The run.
        folder: Finds the model's files on this node.
        number: Which task of the work; the files are named by its number in the run.
        assigned: Where it runs.
        sink: What is written, and where.

    Returns:
        The files, and what the task cost.
    """
    stats = Stats()
    threads = assigned.cpus or work.recipe.load.threads
    task = work.task(number)
    rows = read_task(task, work.scan, threads=threads)
    out = ParquetSink(sink, task.number)
    aside = None if sink.quarantine is None else Quarantine(sink.quarantine, task)
    part = None if sink.parts is None else Part(sink.parts, task.number)
    new = None if sink.cache is None else NewPredictions(sink.cache, task.number)
    cache = None if sink.cache is None or new is None else PredictionCache(open_index(sink.cache).find, new.add, stats)
    this_process().failpoints.reach("task")
    try:
        for scored in score_rows(work.recipe, folder, rows, assigned, stats, cache=cache):
            this_process().failpoints.reach("batch")
            with stats.timing("write"):
                good = scored if aside is None else aside.without_bad_rows(scored)
                if good.rows.num_rows:
                    arrays, names = scored_columns(work.recipe, good)
                    batch = pa.RecordBatch.from_arrays(arrays, names=names)
                    out.write(batch)
                    if part is not None:
                        part.add(batch, good)
        with stats.timing("write"):
            others = (each.close() for each in (aside, part, new) if each is not None)
            files = [*out.close(), *(file for written in others for file in written)]
        this_process().failpoints.reach("task_written")
    except BaseException as error:
        for each in (out, aside, new):
            if each is not None:
                each.abort()
        if isinstance(error, RunError):
            error.details = (*error.details, *_where(work.recipe, task, sink, stats.rows))
        raise
    return files, stats.take()


def _where(recipe: Recipe, task: ScanTask, sink: SinkSpec, rows: int) -> Iterator[str]:
    """Say where a task was when it failed: its unit, its model, and how far it had come with its files."""
    unit = f"unit {sink.units[task.number]}, " if task.number < len(sink.units) else ""
    yield f"in {unit}task {task.number}, with {recipe.label}, after {rows:,} rows of:"
    for piece in task.pieces[:_MOST_FILES]:
        groups = "" if piece.groups is None else f", row groups {piece.groups[0]} to {piece.groups[-1]}"
        yield f"  {logged_path(piece.path)}{groups}"
    if (more := len(task.pieces) - _MOST_FILES) > 0:
        yield f"  and {more:,} more files"
