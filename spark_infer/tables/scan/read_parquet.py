"""Read Parquet row groups into record batches with the types that Spark would hand to Python.

Spark-free, and the hot end of the direct plane: nothing here is done for each row. A file whose values Spark might read
otherwise is refused with `SparkMustReadError`, so that the run can start again on the spark plane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ArrowException
from pyarrow import parquet as pq

from spark_infer.errors import SourceReadError, SparkMustReadError
from spark_infer.tables.delta.deletion_vector import can_read, deleted_rows
from spark_infer.tables.paths import logged_path, shown_path
from spark_infer.tables.scan import values
from spark_infer.tables.scan.batch_rows import TooLargeError, rows_that_fit, stored_bytes
from spark_infer.tables.scan.deletions import groups_with, within, without
from spark_infer.tables.scan.footer import READING, NotParquetError, RawFooter, read_footer
from spark_infer.tables.scan.parquet_schema import SchemaReader
from spark_infer.tables.scan.positions import located, numbered
from spark_infer.tables.scan.prune import groups_that_may_hold, is_plain
from spark_infer.tables.scan.read_eligibility import file_column_doubts, file_doubt
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from spark_infer.tables.scan.type_compatibility import StoredColumn, UnlikeSparkError, as_spark, stored_columns
from spark_infer.tables.scan.unchanged import refuse_changed, unreadable
from spark_infer.tables.storage import Storage
from spark_infer.tables.where.mask import kept

_SCHEMAS = SchemaReader()
"""Kept by a worker for all of its tasks."""

_BYTES_BY_DICTIONARY = 4
"""Bytes of a value in a column whose pages hold places in a dictionary; a text alone takes four for its length."""


_MOST_BATCHES_AHEAD = 2
"""How many batches the stored columns of a row group may be as large as, to be read ahead of decoding as a whole."""
_BUFFER_BYTES = 8 * 2**20
"""Bytes of a column that are read at a time where that is not done."""


def read_parquet(storage: Storage, task: ScanTask, scan: Scan, threads: int) -> Iterator[pa.RecordBatch]:
    """Read the rows of a task; holds one batch and what Arrow reads ahead of a row group, of large ones a part.

    Raises:
        SourceReadError: A file is damaged, or vanished or changed since the run was planned.
        SparkMustReadError: Spark might read other values from a file.
    """
    if threads > 1:
        pa.set_cpu_count(threads)
    for number, piece in enumerate(task.pieces):
        try:
            yield from _read(storage, piece, number, scan, threads)
        except SourceReadError:
            logged_path(storage.at(piece.path))
            raise


def _read(storage: Storage, piece: Piece, number: int, scan: Scan, threads: int) -> Iterator[pa.RecordBatch]:
    path = shown_path(storage.at(piece.path))
    try:
        refuse_changed(storage, piece)
        with storage.files.open_input_file(storage.at(piece.path)) as stream:
            footer = read_footer(stream, _SCHEMAS)
            if doubt := file_doubt(footer):
                raise SparkMustReadError(path, doubt)
            file = _opened(stream, metadata=footer.metadata)
            plan = _file_plan(file, footer, piece, scan, path)
            if texts := _repeated_texts(file, piece, plan):
                file = _opened(stream, metadata=footer.metadata, read_dictionary=texts)
            groups = _groups(file, piece, scan, plan)
            if stored_bytes(file.metadata, groups, plan.stored.values()) > _MOST_BATCHES_AHEAD * scan.batch_bytes:
                how = {"pre_buffer": False, "buffer_size": min(scan.batch_bytes, _BUFFER_BYTES)}
                file = _opened(stream, metadata=footer.metadata, read_dictionary=texts or None, **how)
            if scan.condition is None:
                _refuse_other_count(file, piece, path)
            batches = _all_rows(_batches(stream, file, groups, scan, plan, path, threads), file, groups, path)
            if scan.positions:
                batches = numbered(batches, _group_rows(file), groups)
            if piece.vector is not None or piece.picked is not None:
                batches = without(_left_out(storage, piece, file, groups), batches)
            for found in batches:
                planned = _as_planned(found, plan, scan, path)
                yield _wanted(located(planned, found, number) if scan.positions else planned, scan)
    except FileNotFoundError as error:
        raise unreadable(path, "it is missing: it vanished after the run was planned, or was never there") from error
    except NotParquetError as error:
        raise unreadable(path, f"it is damaged: {error}") from error
    except TooLargeError as error:
        raise _too_large(path, error) from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SparkMustReadError(path, "it is damaged, or pyarrow does not know what it holds") from error
    except (ArrowException, OSError) as error:
        raise unreadable(path, "it is damaged, or cannot be reached") from error


def _opened(stream: pa.NativeFile, **how: Any) -> pq.ParquetFile:
    return pq.ParquetFile(stream, **{**READING, **how})


def _repeated_texts(file: pq.ParquetFile, piece: Piece, plan: _FilePlan) -> list[str]:
    """Text columns that are faster to read by their dictionary: those that it makes small, by the first row group."""
    groups = range(file.metadata.num_row_groups) if piece.groups is None else piece.groups
    if not len(groups):
        return []
    group, schema, arrow, texts = file.metadata.row_group(groups[0]), file.schema, file.schema_arrow, []
    for index in range(len(schema)):
        leaf = schema.column(index)
        if (
            leaf.path not in plan.stored.values()
            or not is_plain(leaf)
            or leaf.physical_type != "BYTE_ARRAY"
            or leaf.max_repetition_level
        ):
            continue
        chunk = group.column(index)
        small = chunk.total_uncompressed_size < _BYTES_BY_DICTIONARY * chunk.num_values
        if small and chunk.has_dictionary_page and pa.types.is_string(arrow.field(leaf.path).type):
            texts.append(leaf.path)
    return texts


def _too_large(path: str, error: TooLargeError) -> SourceReadError:
    return SourceReadError(
        f"The file {path} cannot be read: one row or page of column {error.column!r} takes {error.size:,} bytes.",
        details=[f"at most {error.most:,} are allowed: 16 times max_batch_bytes, or 1 GiB where that is more"],
        next_step="leave the column out with keep=[…], write the file again with smaller pages, or raise "
        "max_batch_bytes, if workers have the memory.",
    )


def _refuse_other_count(file: pq.ParquetFile, piece: Piece, path: str) -> None:
    """Refuse a file with another number of rows than was planned, by Delta's log as a rule, before it is scored."""
    rows = _rows_of(file, range(file.metadata.num_row_groups) if piece.groups is None else piece.groups)
    is_partial = piece.vector is not None or piece.picked is not None
    if piece.rows is not None and not is_partial and piece.rows != rows:
        raise SparkMustReadError(path, f"it has {rows:,} rows by its footer, and {piece.rows:,} by the table's log")


def _all_rows(
    batches: Iterator[pa.RecordBatch], file: pq.ParquetFile, groups: Sequence[int], path: str
) -> Iterator[pa.RecordBatch]:
    """Hand on all batches, and see that they have the rows that the footer counts."""
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        yield batch
    if rows != (counted := _rows_of(file, groups)):
        raise unreadable(path, f"it is damaged: its footer counts {counted:,} rows, and {rows:,} are there")


def _rows_of(file: pq.ParquetFile, groups: Sequence[int]) -> int:
    return sum(file.metadata.row_group(group).num_rows for group in groups)


@dataclass(frozen=True)
class _FilePlan:
    """How the columns of one file become those of the scan.

    Attributes:
        stored: Column to its name in the file.
        fixed: Column to its one value, for those that are not in the file.
        renamed: Column to its type in the file with the table's names inside, for those that have others in the file.
        kept: The columns whose values are those that are stored, so that statistics speak of them.
    """

    stored: Mapping[str, str]
    fixed: Mapping[str, Any]
    renamed: Mapping[str, pa.DataType] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()


def _file_plan(file: pq.ParquetFile, footer: RawFooter, piece: Piece, scan: Scan, path: str) -> _FilePlan:
    arrow = file.schema_arrow  # a new one at each call
    try:
        columns = stored_columns(arrow, scan)
    except UnlikeSparkError as error:
        raise SparkMustReadError(path, str(error)) from error
    doubts = file_column_doubts(footer)
    if found := [doubts[column.name] for column in columns.values() if column.name in doubts]:
        raise SparkMustReadError(path, found[0])
    fixed = {
        column.name: _partition_value(piece, column.name, scan, path) if column.name in scan.partitions else None
        for column in scan.looked_at
        if column.name not in columns
    }
    return _FilePlan(
        stored={name: column.name for name, column in columns.items()},
        fixed=fixed,
        renamed={name: column.kind for name, column in columns.items() if column.kind != arrow.field(column.name).type},
        kept=frozenset(column.name for column in scan.looked_at if _is_kept(columns.get(column.name), column)),
    )


def _is_kept(stored: StoredColumn | None, wanted: pa.Field) -> bool:
    """Whether a column's values are those that are stored."""
    if stored is None:
        return False
    kind = stored.kind.value_type if pa.types.is_dictionary(stored.kind) else stored.kind
    return bool(kind == wanted.type or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _left_out(storage: Storage, piece: Piece, file: pq.ParquetFile, groups: Sequence[int]) -> NDArray[np.int64]:
    """The rows among those of some row groups that are deleted, or not asked for."""
    group_rows, left_out = _group_rows(file), np.empty(0, np.int64)
    if piece.picked is not None:
        picked = within(np.array(piece.picked, np.int64), group_rows, groups)
        left_out = np.setdiff1d(np.arange(_rows_of(file, groups)), picked)
    if piece.vector is None:
        return left_out
    if not can_read():
        raise SparkMustReadError(
            shown_path(storage.at(piece.path)), "a worker lacks pyroaring, which reads deletion vectors"
        )
    deleted = within(deleted_rows(storage, piece.vector, piece.path), group_rows, groups)
    return np.union1d(left_out, deleted)


def _group_rows(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]


def _partition_value(piece: Piece, name: str, scan: Scan, path: str) -> Any:
    try:
        return values.parsed(piece.values.get(name), scan.partitions[name])
    except ValueError as error:
        raise SparkMustReadError(path, f"a partition value of {name!r} is no {scan.partitions[name]}") from error


def _groups(file: pq.ParquetFile, piece: Piece, scan: Scan, plan: _FilePlan) -> list[int]:
    groups = list(range(file.metadata.num_row_groups)) if piece.groups is None else list(piece.groups)
    if piece.picked is not None:
        groups = groups_with(np.array(piece.picked, np.int64), _group_rows(file), groups)
    if scan.condition is None:
        return groups
    kept = {name: plan.stored[name] for name in plan.kept}
    return groups_that_may_hold(file.metadata, groups, scan.condition, kept, plan.fixed)


def _batches(
    stream: pa.NativeFile, file: pq.ParquetFile, groups: list[int], scan: Scan, plan: _FilePlan, path: str, threads: int
) -> Iterator[pa.RecordBatch]:
    if plan.stored:
        names = list(plan.stored.values())
        try:
            rows = rows_that_fit(scan.batch_bytes, scan.batch_rows, stream, file.metadata, groups, names)
        except ValueError as error:
            raise SparkMustReadError(path, f"it is damaged, or its pages are of an unknown kind ({error})") from error
        yield from file.iter_batches(rows, row_groups=groups, columns=names, use_threads=threads > 1)
        return
    # Nothing of the file is wanted but how many rows it has.
    rows = _rows_of(file, groups)
    for start in range(0, rows, scan.batch_rows):
        count = min(scan.batch_rows, rows - start)
        yield pa.RecordBatch.from_arrays([pa.nulls(count)], names=[""])


def _as_planned(found: pa.RecordBatch, plan: _FilePlan, scan: Scan, path: str) -> pa.RecordBatch:
    def column(wanted: pa.Field) -> pa.Array:
        if wanted.name not in plan.stored:
            return values.column(plan.fixed[wanted.name], found.num_rows, wanted.type)
        array = found.column(plan.stored[wanted.name])
        array = array.view(plan.renamed[wanted.name]) if wanted.name in plan.renamed else array
        try:
            return as_spark(array, wanted.type)
        except pa.ArrowInvalid as error:
            raise _no_place(path, wanted, array.type, scan) from error

    schema = scan.looked_at
    return pa.RecordBatch.from_arrays([column(wanted) for wanted in schema], schema=schema)


def _no_place(path: str, wanted: pa.Field, kind: pa.DataType, scan: Scan) -> SourceReadError:
    why = f"column {wanted.name!r} ({kind}) has a value that has no place in {wanted.type}"
    if not scan.beyond_spark:
        return SparkMustReadError(path, why)
    return SourceReadError(
        f"The file {path} cannot be read: {why}.",
        details=[
            "such as a nanosecond that is not a whole microsecond, or a decimal with more digits than its type has"
        ],
        next_step="leave the column out with keep=[…], or correct the file.",
    )


def _wanted(batch: pa.RecordBatch, scan: Scan) -> pa.RecordBatch:
    """Keep the rows of the condition, and the columns to hand on."""
    if scan.condition is None:
        return batch
    return kept(scan.condition, batch).select(scan.handed_on)
