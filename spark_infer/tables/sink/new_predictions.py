"""What a task has predicted and the prediction cache did not have: written for the table of the cache."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from spark_infer.core.casts import retype
from spark_infer.core.duplicates import Digests
from spark_infer.tables.prediction_cache.cached_columns import DIGEST, ROW, SCORING, as_column, stored_type
from spark_infer.tables.sink.sink import ParquetSink
from spark_infer.tables.sink.sink_spec import CacheSpec, WrittenFile

_GROUP_BYTES = 2**20
"""Bytes of a row group: what is read to find one row."""


class NewPredictions:
    """The new predictions of one task; makes no file where there are none.

    Args:
        spec: How they are kept.
        task: Number of the task.
    """

    def __init__(self, spec: CacheSpec, task: int) -> None:
        self._spec = spec
        self._sink = ParquetSink(replace(spec.sink, row_group_bytes=_GROUP_BYTES), task)

    def add(self, digests: Digests, answers: pa.RecordBatch) -> None:
        """Take predictions and the digests of their rows."""
        rows = len(digests)
        texts = {DIGEST: self._spec.digest, SCORING: self._spec.scoring}
        columns = {name: pa.array([text], pa.string()).take(pa.array([0] * rows)) for name, text in texts.items()}
        outputs = (retype(column, stored_type(column.type)) for column in answers.columns)
        columns |= {ROW: as_column(digests), **dict(zip(answers.schema.names, outputs, strict=True))}
        batch = pa.RecordBatch.from_pydict(columns)
        step = max(1, rows * _GROUP_BYTES // max(1, answers.nbytes))
        for start in range(0, rows, step):
            self._sink.write(batch.slice(start, step))

    def close(self) -> list[WrittenFile]:
        """Finish the files and return them."""
        return [replace(file, cached=True) for file in self._sink.close()]

    def abort(self) -> None:
        """Close what is open, after a failure."""
        self._sink.abort()
