"""Write the scored rows of one task: Parquet files with a name of their own, in the folders of their partitions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ArrowException
from pyarrow import parquet as pq

from spark_infer.core.casts import retype
from spark_infer.errors import WriteError
from spark_infer.tables.paths import logged_path
from spark_infer.tables.sink.folders import NULL_PARTITION, folder_of, split
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile
from spark_infer.tables.sink.statistics import may_hold_nan, statistics
from spark_infer.tables.storage import Storage, open_storage

EMPTY_PARTITION = "A partition column holds an empty string, which a table stores as null."
NULL_TEXT = f"A partition column holds the text {NULL_PARTITION}, which a table takes for null."
OUTSIDE_SCOPE = "A row lies outside the table partitions that this job may replace."

_MOST_OPEN = 64
_GLANCE = 512
_REPEATS = 0.5
"""The share of distinct values above which a dictionary would only be built to be thrown away."""


class ParquetSink:
    """The files of one task.

    Holds a row group in memory for each table partition that is being written, all of them together at most twice
    `SinkSpec.row_group_bytes`.

    Args:
        spec: What is written, and where.
        task: Number of the task; part of the files' names.
    """

    def __init__(self, spec: SinkSpec, task: int) -> None:
        storage = open_storage(spec.uri)
        if storage is None:
            raise WriteError.worker_cannot_reach(spec.uri)
        self._spec = spec
        self._storage = storage
        self._task = task
        # A task that is tried again must not write over the files of the first try.
        self._attempt = uuid.uuid4().hex[:8]
        self._open: dict[str, _OpenFile] = {}
        self._done: list[WrittenFile] = []
        self._count = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows: all columns of the schema but the constant ones.

        Raises:
            WriteError: A row must not be written, or the file system refuses.
        """
        for name in self._spec.later_texts:
            self._refuse_texts(pc.unique(batch.column(name)).to_pylist())
        with self._explained():
            for values, rows in split(batch, self._spec.partition_by):
                file = self._file(values)
                file.add(rows)
                if file.is_full:
                    self._finish(folder_of(values))
            while sum(file.held_bytes for file in self._open.values()) > 2 * self._spec.row_group_bytes:
                max(self._open.values(), key=lambda file: file.held_bytes).flush()

    def close(self) -> list[WrittenFile]:
        """Finish all files and return them.

        Raises:
            WriteError: The file system refuses.
        """
        with self._explained():
            for folder in list(self._open):
                self._finish(folder)
        return self._done

    def abort(self) -> None:
        """Close what is open, after a failure; the driver removes the files."""
        for file in self._open.values():
            file.abandon()
        self._open.clear()

    def _file(self, values: dict[str, str | None]) -> _OpenFile:
        folder = folder_of(values)
        if folder in self._open:
            self._open[folder] = file = self._open.pop(folder)  # the last one used stands last
            return file
        self._refuse(values)
        if len(self._open) >= _MOST_OPEN:
            self._finish(next(iter(self._open)))
        name = f"part-{self._task:05}-{self._spec.run_id}-{self._attempt}.c{self._count:03}.{self._spec.codec}.parquet"
        self._count += 1
        self._open[folder] = _OpenFile(self._spec, self._storage, f"{folder}/{name}" if folder else name, values)
        return self._open[folder]

    def _refuse_texts(self, texts: Collection[str | None]) -> None:
        if "" in texts:
            raise _refused(EMPTY_PARTITION)
        if NULL_PARTITION in texts:
            raise _refused(NULL_TEXT)

    def _refuse(self, values: dict[str, str | None]) -> None:
        self._refuse_texts(values.values())
        if self._spec.scope is not None and not self._spec.scope.holds(values):
            raise _refused(OUTSIDE_SCOPE)

    def _finish(self, folder: str) -> None:
        file = self._open.pop(folder)
        try:
            self._done.append(file.finish())
        except BaseException:
            file.abandon()
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (ArrowException, OSError, OverflowError, ValueError) as error:
            why = logged_path(str(error)) if isinstance(error, OSError) else type(error).__name__
            raise WriteError(
                f"A worker could not write into {self._spec.uri.removeprefix('file://')}: {why}",
                next_step="check the folder's permissions (where workers are another user than the driver, "
                "target.ledger_group names a group of both), its free space, and the worker's credentials, then run "
                "the same command again; units that were done stay done.",
            ) from error


def _refused(what: str) -> WriteError:
    return WriteError(
        what,
        next_step="narrow the source with partition_filter or where, or declare these partitions too; nothing of "
        "this unit was published.",
    )


def write_empty(spec: SinkSpec, storage: Storage, path: str, metadata: dict[str, str]) -> None:
    """Write a file without rows, which holds the columns of a table that has none."""
    storage.files.create_dir(storage.root)
    with (
        storage.files.open_output_stream(storage.at(path)) as stream,
        pq.ParquetWriter(stream, spec.schema, compression=spec.codec, store_schema=False) as writer,
    ):
        # With the columns that became folders, since there are no folders to tell of them.
        writer.write_table(pa.Table.from_batches([], spec.schema))
        writer.add_key_value_metadata(metadata)


class _OpenFile:
    """One file that is being written."""

    def __init__(self, spec: SinkSpec, storage: Storage, path: str, values: dict[str, str | None]) -> None:
        self._spec = spec
        self._path = path
        self._values = values
        self._held: list[pa.RecordBatch] = []
        self.held_bytes = 0
        self._rows = 0
        self._footers: list[pq.FileMetaData] = []
        self._writer: pq.ParquetWriter | None = None
        folder = path.rpartition("/")[0]
        if folder and storage.scheme == "file":
            if not storage.kind():  # the run has failed meanwhile, and the driver has cleared up
                raise FileNotFoundError(storage.root)
            storage.files.create_dir(storage.at(folder))
        self._stream: Any = storage.files.open_output_stream(storage.at(path))

    @property
    def is_full(self) -> bool:
        """Whether the next rows should go into another file."""
        return bool(self._stream.tell() >= self._spec.most_file_bytes)

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows; writes a row group where enough are held."""
        self._held.append(rows)
        self.held_bytes += rows.nbytes
        self._rows += rows.num_rows
        if self.held_bytes >= self._spec.row_group_bytes:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are held as one row group."""
        if not self._held:
            return
        table = self._table(pa.Table.from_batches(self._held))
        self._held, self.held_bytes = [], 0
        if self._writer is None:
            self._writer = self._begin(table)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def finish(self) -> WrittenFile:
        """Write the rest and the footer."""
        self.flush()
        if self._writer is not None:
            # Arrow's own way, by the schema's metadata, brings Arrow's schema along, which Spark has no use for.
            self._writer.add_key_value_metadata(dict(self._spec.metadata))
            self._writer.close()
        size = self._stream.tell()
        self._stream.close()
        found = statistics(self._footers[0]) if self._footers else {}
        return WrittenFile(path=self._path, size=size, rows=self._rows, values=self._values, statistics=found)

    def abandon(self) -> None:
        """Close without a footer, so that nobody takes the file for a whole one."""
        if self._writer is not None:
            self._writer.is_open = False  # else it writes one when it is collected
        try:
            self._stream.close()
        except (ArrowException, OSError):
            return

    def _table(self, rows: pa.Table) -> pa.Table:
        columns = []
        for field in self._spec.stored:
            if field.name in self._spec.constants:
                value = pa.scalar(self._spec.constants[field.name], field.type)
                columns.append(pa.chunked_array([pa.repeat(value, rows.num_rows)]))
                continue
            chunks = rows.column(field.name).chunks
            columns.append(pa.chunked_array([retype(chunk, field.type) for chunk in chunks], field.type))
        return pa.Table.from_arrays(columns, schema=self._spec.stored)

    def _begin(self, table: pa.Table) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            self._stream,
            table.schema,
            compression=self._spec.codec,
            use_dictionary=[name for name in table.schema.names if _repeats(table.column(name))],
            # Arrow leaves NaN out of a column's bounds, and Spark, to which NaN is the largest number, would then pass
            # over row groups that hold one.
            write_statistics=[field.name for field in table.schema if not may_hold_nan(field.type)],
            store_decimal_as_integer=True,
            store_schema=False,
            metadata_collector=self._footers,
        )


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a dictionary pays, judged by the first rows."""
    first = column.chunk(0) if column.num_chunks else column
    if pa.types.is_nested(first.type) or pa.types.is_null(first.type):
        return True
    # A glance spares most columns of numbers the count: hardly any with few values has none twice among so many.
    glance = first.slice(0, _GLANCE)
    if len(glance) == _GLANCE and pc.count_distinct(glance, mode="all").as_py() == _GLANCE:
        return False
    return bool(pc.count_distinct(first, mode="all").as_py() <= _REPEATS * max(1, len(first)))


def to_json(files: list[WrittenFile]) -> str:
    """Write the account of some files as JSON."""
    return json.dumps([vars(file) for file in files])


def from_json(text: str) -> list[WrittenFile]:
    """Read the account of some files."""
    return [WrittenFile(**each) for each in json.loads(text)]
