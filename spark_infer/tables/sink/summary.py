"""The summary of a task's rows, in a file for the driver; and that of a whole run, made of these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
from pyarrow import ArrowException
from pyarrow import parquet as pq

from spark_infer.core.scoring import ScoredBatch
from spark_infer.errors import WriteError
from spark_infer.tables.aggregate.groups import Groups
from spark_infer.tables.aggregate.measures import inputs_of
from spark_infer.tables.paths import logged_path
from spark_infer.tables.sink.sink import ParquetSink
from spark_infer.tables.sink.sink_spec import PartSpec, SinkSpec, WrittenFile
from spark_infer.tables.storage import Storage


class Part:
    """What one task has summarised; makes no file where it has no row.

    Args:
        spec: What is summarised.
        task: Number of the task.
    """

    def __init__(self, spec: PartSpec, task: int) -> None:
        self._spec = spec
        self._task = task
        self._groups = Groups(spec.by, spec.measures)
        self._inputs = inputs_of(spec.by.names, spec.measures)

    def add(self, written: pa.RecordBatch, scored: ScoredBatch) -> None:
        """Take rows that are written.

        Args:
            written: With the columns of the target.
            scored: The same rows, with further columns of the source.
        """
        here = written.schema.names
        columns = {name: written.column(name) if name in here else scored.rows.column(name) for name in self._inputs}
        self._groups.add_rows(columns, written.num_rows)

    def close(self) -> list[WrittenFile]:
        """Write the file and return it."""
        return [replace(file, part=True) for file in write_rows(self._spec.sink, self._groups.part(), self._task)]


def write_rows(sink: SinkSpec, rows: pa.Table, task: int) -> list[WrittenFile]:
    """Write a table as files of their own; none where it has no row."""
    out = ParquetSink(sink, task)
    try:
        for batch in rows.to_batches():
            if batch.num_rows:
                out.write(batch)
        return out.close()
    except BaseException:
        out.abort()
        raise


def summary_of(spec: PartSpec, parts: Iterable[tuple[Storage, str]]) -> pa.Table:
    """Put the parts of all tasks of a run together, in their order.

    Args:
        spec: What was summarised.
        parts: The folder and the path in it of each.

    Raises:
        TooManyGroupsError: There are more groups than may be.
        WriteError: A file is damaged, or a sum of whole numbers too large.
    """
    groups = Groups(spec.by, spec.measures)
    for folder, path in parts:
        groups.add(_read(folder, path).cast(spec.sink.schema))
    return groups.summary()


def _read(folder: Storage, path: str) -> pa.Table:
    try:
        with folder.files.open_input_file(folder.at(path)) as stream:
            return pq.read_table(stream)
    except (ArrowException, OSError) as error:
        raise WriteError(
            f"A part of the summary, {logged_path(folder.at(path))}, cannot be read: {error}",
            next_step="see to the disk, then run the same command again: no row is scored again.",
        ) from error
