"""Read a scan task: Parquet row groups into record batches with the types that Spark would hand to Python.

Spark-free, and the hot end of the direct plane: nothing here is done for each row. A file whose values Spark might read
otherwise is refused with `SparkMustReadError`, so that the run can begin anew on the spark plane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import InvalidOperation
from typing import Any

import pyarrow as pa
from pyarrow import ArrowException
from pyarrow import parquet as pq

from spark_infer.config import DEFAULT_BATCH_SIZE
from spark_infer.core.casts import retype
from spark_infer.errors import SourceReadError, SparkMustReadError
from spark_infer.tables.scan import values
from spark_infer.tables.scan.doubts import footer_doubt
from spark_infer.tables.scan.fit import same_values
from spark_infer.tables.scan.prune import groups_that_may_hold, is_plain
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from spark_infer.tables.storage import Storage, open_storage
from spark_infer.tables.where.mask import kept

_BYTES_BY_DICTIONARY = 4
"""Bytes of a value in a column whose pages hold places in a dictionary; a text alone takes four for its length."""


def read_task(task: ScanTask, scan: Scan, *, threads: int = 1) -> Iterator[pa.RecordBatch]:
    """Read the rows of a task, in order; holds one batch and what Arrow reads ahead of a row group.

    Args:
        task: What to read.
        scan: How.
        threads: Threads that may decode at once.

    Raises:
        SourceReadError: A file is damaged, or vanished or changed since the run was planned.
        SparkMustReadError: Spark might read other values from a file.
    """
    storage = open_storage(scan.uri)
    if storage is None:
        raise SourceReadError(
            f"This worker cannot reach {scan.uri}.",
            next_step="give it what pyarrow.fs needs for this file system, or set plane: spark.",
        )
    if threads > 1:
        pa.set_cpu_count(threads)
    for piece in task.pieces:
        yield from _read(storage, piece, scan, threads)


def _read(storage: Storage, piece: Piece, scan: Scan, threads: int) -> Iterator[pa.RecordBatch]:
    path = storage.at(piece.path)
    try:
        _refuse_changed(storage, piece)
        with storage.files.open_input_file(path) as stream:
            file = _opened(stream)
            plan = _file_plan(file, piece, scan, path)
            if texts := _repeated_texts(file, piece, plan):
                file = _opened(stream, metadata=file.metadata, read_dictionary=texts)
            for found in _batches(file, piece, scan, plan, threads):
                yield _wanted(_as_planned(found, plan, scan.looked_at), scan)
    except FileNotFoundError as error:
        raise _unreadable(path, "it vanished after the run was planned") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SparkMustReadError(path, "it is damaged, or pyarrow does not know what it holds") from error
    except (ArrowException, OSError) as error:
        raise _unreadable(path, "it is damaged, or cannot be reached") from error


def _opened(stream: pa.NativeFile, **how: Any) -> pq.ParquetFile:
    return pq.ParquetFile(stream, pre_buffer=True, coerce_int96_timestamp_unit="us", **how)


def _repeated_texts(file: pq.ParquetFile, piece: Piece, plan: _FilePlan) -> list[str]:
    """Text columns that are faster to read by their dictionary: those that it makes small, by the first row group."""
    groups = range(file.metadata.num_row_groups) if piece.groups is None else piece.groups
    if not len(groups):
        return []
    group, schema, arrow, texts = file.metadata.row_group(groups[0]), file.schema, file.schema_arrow, []
    for index in range(len(schema)):
        leaf = schema.column(index)
        if (
            leaf.path not in plan.stored
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


def _refuse_changed(storage: Storage, piece: Piece) -> None:
    info = storage.files.get_file_info(storage.at(piece.path))
    if not info.is_file:
        raise FileNotFoundError(piece.path)
    if info.size != piece.size or (piece.modified_ns is not None and info.mtime_ns != piece.modified_ns):
        raise _unreadable(storage.at(piece.path), "it was written again after the run was planned")


def _unreadable(path: str, why: str) -> SourceReadError:
    return SourceReadError(
        f"The file {path} cannot be read: {why}.",
        next_step="run again when no other job writes the table, or restore the file; nothing of this run was "
        "published.",
    )


@dataclass(frozen=True)
class _FilePlan:
    """How the columns of one file become those of the scan: column to its name in the file, or to its one value."""

    stored: Mapping[str, str]
    fixed: Mapping[str, Any]


def _file_plan(file: pq.ParquetFile, piece: Piece, scan: Scan, path: str) -> _FilePlan:
    if doubt := footer_doubt(file.metadata):
        raise SparkMustReadError(path, doubt)
    found = file.schema_arrow  # made anew whenever it is asked for
    spellings: dict[str, list[str]] = {}
    for name in found.names:
        spellings.setdefault(name.casefold(), []).append(name)
    int96 = _int96(file)
    stored: dict[str, str] = {}
    fixed: dict[str, Any] = {}
    for field in scan.looked_at:
        if field.name in scan.partitions:
            fixed[field.name] = _partition_value(piece, field.name, scan, path)
            continue
        same = spellings.get(field.name.casefold(), [])
        twins = [name for name in same if name != field.name]
        if twins and not scan.case_sensitive:
            raise SparkMustReadError(path, f"column {field.name!r} is spelled {twins[0]!r} in a file")
        if field.name not in same:
            fixed[field.name] = None
            continue
        if len(same) - len(twins) > 1:
            raise SparkMustReadError(path, f"column {field.name!r} stands twice in a file")
        kind = found.field(field.name).type
        if not same_values(kind, field.type, int96=field.name in int96):
            raise SparkMustReadError(path, f"column {field.name!r} is {kind} in a file and {field.type} in the table")
        stored[field.name] = field.name
    return _FilePlan(stored, fixed)


def _int96(file: pq.ParquetFile) -> frozenset[str]:
    """The columns that hold INT96, at any depth."""
    leaves = [leaf for leaf in file.schema if leaf.physical_type == "INT96"]
    return frozenset(leaf.path if is_plain(leaf) else leaf.path.split(".")[0] for leaf in leaves)


def _partition_value(piece: Piece, name: str, scan: Scan, path: str) -> Any:
    try:
        return values.parsed(piece.values.get(name), scan.partitions[name])
    except (ValueError, InvalidOperation) as error:
        raise SparkMustReadError(path, f"a partition value of {name!r} is no {scan.partitions[name]}") from error


def _batches(file: pq.ParquetFile, piece: Piece, scan: Scan, plan: _FilePlan, threads: int) -> Iterator[pa.RecordBatch]:
    groups = list(range(file.metadata.num_row_groups)) if piece.groups is None else list(piece.groups)
    if scan.condition is not None:
        groups = groups_that_may_hold(file.metadata, groups, scan.condition, plan.stored, plan.fixed)
    if plan.stored:
        names = list(plan.stored.values())
        rows = min(scan.batch_rows, _rows_in(scan.batch_bytes, file, groups, names))
        yield from file.iter_batches(rows, row_groups=groups, columns=names, use_threads=threads > 1)
        return
    # Nothing of the file is wanted but how many rows it has.
    rows = sum(file.metadata.row_group(group).num_rows for group in groups)
    for start in range(0, rows, scan.batch_rows):
        count = min(scan.batch_rows, rows - start)
        yield pa.RecordBatch.from_arrays([pa.nulls(count)], names=[""])


def _rows_in(size: int, file: pq.ParquetFile, groups: Sequence[int], names: Sequence[str]) -> int:
    """About how many rows of some columns fit into so many bytes, by the first row group; few of texts that repeat."""
    if not groups:
        return 1
    group, wanted = file.metadata.row_group(groups[0]), set(names)
    chunks = [
        chunk
        for chunk in (group.column(index) for index in range(group.num_columns))
        if chunk.path_in_schema.partition(".")[0] in wanted or chunk.path_in_schema in wanted
    ]
    # Values that repeat lie in a file as places in a dictionary, and in memory as they are.
    total = sum(
        max(chunk.total_uncompressed_size, _WIDTHS.get(chunk.physical_type, 0) * chunk.num_values) for chunk in chunks
    )
    rows = max(1, int(size * group.num_rows // max(1, total)))
    is_unsure = any(chunk.has_dictionary_page and chunk.physical_type not in _WIDTHS for chunk in chunks)
    return min(rows, DEFAULT_BATCH_SIZE) if is_unsure else rows


_WIDTHS = {"INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a value in memory."""


def _as_planned(found: pa.RecordBatch, plan: _FilePlan, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        retype(found.column(plan.stored[field.name]), field.type)
        if field.name in plan.stored
        else values.column(plan.fixed[field.name], found.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _wanted(batch: pa.RecordBatch, scan: Scan) -> pa.RecordBatch:
    """Keep the rows of the condition, and the columns to hand on."""
    if scan.condition is None:
        return batch
    return kept(scan.condition, batch).select(scan.schema.names)
