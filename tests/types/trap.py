"""The workers' functions, row by row, with the error of a row in the place of its prediction.

A task that fails takes its Python worker with it, and the next one loads its libraries again; so many errors are looked
at in one action. What a failing action looks like is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from spark_infer.core.stats import STATS_TYPE
from spark_infer.errors import SparkInferError
from spark_infer.spark import worker

_score_partition = worker.score_partition
_predict_columns = worker.predict_columns


def score_partition(batches: Iterator[pa.RecordBatch], **options: Any) -> Iterator[pa.RecordBatch]:
    """Score each row by itself."""
    kept, stats = options["recipe"].keep, options["stats_column"]
    for batch in batches:
        for index in range(batch.num_rows):
            row = batch.slice(index, 1)
            named = row.rename_columns(list(options["columns"]))
            told = _described(lambda row=row: list(_score_partition(iter([row]), **options)))  # type: ignore[misc]
            arrays = [*(named.column(name) for name in kept), pa.array([told])]
            yield pa.RecordBatch.from_arrays(
                arrays if stats is None else [*arrays, pa.nulls(1, STATS_TYPE)],
                names=[*kept, *options["recipe"].outputs.names, *([] if stats is None else [stats])],
            )


def predict_columns(batches: Iterator[list[pa.Array]], **options: Any) -> Iterator[pa.Array]:
    """Predict each row by itself."""
    for columns in batches:
        rows = ([column.slice(index, 1) for column in columns] for index in range(len(columns[0])))
        yield pa.array(
            [
                _described(lambda row=row: list(_predict_columns(iter([row]), **options)))  # type: ignore[misc]
                for row in rows
            ]
        )


def _described(work: Callable[[], object]) -> str:
    try:
        work()
    except SparkInferError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"
