"""The direct plane under Spark: it schedules scan tasks; scored rows come back, or an account of the files written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_infer.core.stats import STATS_TYPE
from spark_infer.engines.direct_work import DirectWork, scored_rows, written_files
from spark_infer.models.files.distribution import ModelFiles
from spark_infer.runtime.assignment import Assignment
from spark_infer.spark.indexed_tasks import collected, over_numbers
from spark_infer.spark.prepare import Prepared
from spark_infer.spark.schema import to_arrow, to_spark
from spark_infer.spark.ship import open_folder
from spark_infer.tables.scan.task import ScanTask
from spark_infer.tables.sink.sink import from_json, to_json
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile

if TYPE_CHECKING:
    from spark_infer.engines.plane import Plane
    from spark_infer.spark import DataFrame, SparkSession

_TOLD = pa.schema([pa.field("files", pa.string()), pa.field("stats", STATS_TYPE)])


def direct_frame(rows: DataFrame, scoring: Prepared, plane: Plane, *, stats_column: str | None = None) -> DataFrame:
    """Return what `scored_frame` returns, with the rows read by the workers.

    Args:
        rows: The rows as Spark would read them; only their schema is used.
        scoring: The recipe and the model's files.
        plane: The direct plane.
        stats_column: Name of a further column that carries what scoring cost.
    """
    schema = to_spark(scoring.recipe.scored_schema(to_arrow(rows.schema), stats_column=stats_column))
    function = partial(_rows, work=_work(scoring, plane), files=scoring.files, stats_column=stats_column)
    return over_numbers(rows.sparkSession, len(plane.tasks), function, schema, scoring.stage)


def write_files(
    spark: SparkSession, scoring: Prepared, plane: Plane, tasks: Sequence[ScanTask], sink: SinkSpec
) -> tuple[list[WrittenFile], list[dict[str, Any]]]:
    """Have the workers read, score and write what some tasks read; one action.

    Returns:
        The files of the tasks that were finished, each task's once, and what each of these tasks cost.
    """
    work = _work(scoring, replace(plane, tasks=tuple(tasks)))
    function = partial(_files, work=work, files=scoring.files, sink=sink)
    told = collected(spark, len(tasks), function, to_spark(_TOLD), scoring.stage)
    return [file for row in told for file in from_json(row["files"])], [row["stats"].asDict() for row in told]


def _work(scoring: Prepared, plane: Plane) -> DirectWork:
    if plane.scan is None:
        raise ValueError("not the direct plane")
    return DirectWork.of(scoring.recipe, plane.scan, plane.tasks)


def _rows(
    number: int, assigned: Assignment, *, work: DirectWork, files: ModelFiles, stats_column: str | None
) -> Iterator[pa.RecordBatch]:
    return scored_rows(work, partial(open_folder, files), number, assigned, stats_column=stats_column)


def _files(
    number: int, assigned: Assignment, *, work: DirectWork, files: ModelFiles, sink: SinkSpec
) -> Iterator[pa.RecordBatch]:
    written, stats = written_files(work, partial(open_folder, files), number, assigned, sink)
    yield pa.RecordBatch.from_pylist([{"files": to_json(written), "stats": stats}], schema=_TOLD)
