"""The rows of a task that the model fails for: taken out of the others, and written for a table of their own."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.scoring import ScoredBatch
from spark_infer.tables.scan.positions import PIECE, ROW
from spark_infer.tables.scan.task import ScanTask
from spark_infer.tables.sink.sink import ParquetSink
from spark_infer.tables.sink.sink_spec import QuarantineSpec, WrittenFile

OF_PLACE = pa.schema([("source_file", pa.string()), ("source_row", pa.int64())])
OF_ERROR = pa.schema([("error_class", pa.string()), ("error_message", pa.string()), ("unit", pa.int32())])
OF_RUN = pa.schema([("run_id", pa.string())])


class Quarantine:
    """The quarantined rows of one task; makes no file where there are none.

    Args:
        spec: What is kept of them.
        task: The task.
    """

    def __init__(self, spec: QuarantineSpec, task: ScanTask) -> None:
        self._spec = spec
        self._task = task
        self._sink: ParquetSink | None = None

    def without_bad_rows(self, scored: ScoredBatch) -> ScoredBatch:
        """Take the rows with an error out of a batch, and write them."""
        if scored.errors is None:
            return scored
        bad = scored.errors.is_valid()
        if self._sink is None:
            self._sink = ParquetSink(self._spec.sink, self._task.number)
        self._sink.write(self._kept(scored.rows.filter(bad), scored.errors.filter(bad)))
        good = pc.invert(bad)
        return ScoredBatch(scored.rows.filter(good), scored.outputs.filter(good))

    def close(self) -> list[WrittenFile]:
        """Finish the files and return them."""
        return [] if self._sink is None else [replace(file, aside=True) for file in self._sink.close()]

    def abort(self) -> None:
        """Close what is open, after a failure."""
        if self._sink is not None:
            self._sink.abort()

    def _kept(self, rows: pa.RecordBatch, errors: pa.Array) -> pa.RecordBatch:
        count = rows.num_rows
        paths = pa.array([piece.path for piece in self._task.pieces], pa.string())
        columns = {name: rows.column(name) for name in self._spec.columns}
        columns |= {"source_file": paths.take(rows.column(PIECE)), "source_row": rows.column(ROW)}
        columns |= {name: errors.field(name) for name in ("error_class", "error_message")}
        columns |= {"unit": pa.array([self._spec.sink.units[self._task.number]] * count, pa.int32())}
        columns |= {"run_id": pa.array([self._spec.run_id] * count, pa.string())}
        return pa.RecordBatch.from_pydict(columns)
