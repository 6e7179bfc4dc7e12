"""Compare what two engines wrote: the same rows, the same kept columns, the same predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.workload import Workload


def read_answers(target: Path, workload: Workload) -> pa.Table:
    """Read what an engine wrote, sorted by `id`."""
    columns = [*workload.keep, *(name for name, _ in workload.outputs)]
    files = sorted(target.rglob("*.parquet"))
    table = pa.concat_tables([pq.ParquetFile(file).read(columns=columns) for file in files], promote_options="default")
    return table.select(columns).sort_by("id").combine_chunks()


def difference(answers: pa.Table, expected: pa.Table, *, tolerance: float) -> str | None:
    """Say where two tables differ, or nothing; floats may differ by `tolerance`, absolute and relative."""
    if answers.num_rows != expected.num_rows:
        return f"{answers.num_rows:,} rows instead of {expected.num_rows:,}"
    for name in expected.column_names:
        if not _same(_plain(answers.column(name)), _plain(expected.column(name)), tolerance):
            return f"other values in {name!r}"
    return None


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; engines differ in what they call a list or a text."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_large_string(array.type) or pa.types.is_dictionary(array.type):
        return array.cast(pa.string())
    return array


def _same(ours: pa.Array, theirs: pa.Array, tolerance: float) -> bool:
    if _is_list(ours.type) or _is_list(theirs.type):
        if not _is_list(ours.type) or not _is_list(theirs.type):
            return False
        lengths, expected = (pc.list_value_length(array).to_pylist() for array in (ours, theirs))
        return bool(lengths == expected) and _same(ours.flatten(), theirs.flatten(), tolerance)
    if ours.type != theirs.type:
        return False
    if tolerance and pa.types.is_floating(ours.type):
        left, right = (array.to_numpy(zero_copy_only=False) for array in (ours, theirs))
        return bool(np.allclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True))
    return bool(ours.equals(theirs))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
