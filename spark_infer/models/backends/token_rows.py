"""Tokenised rows as Arrow, so that they can be taken by index, counted in bytes and sent to another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Row = Mapping[str, Any]
"""What a tokeniser makes of one row: arrays of shape (1, tokens) or (1, tokens, n), and plain values."""


def pack(rows: Sequence[Row]) -> pa.RecordBatch:
    """Put tokenised rows into a record batch: a column for each of their parts; parts that are None are left out."""
    first = rows[0]
    return pa.RecordBatch.from_pydict(
        {name: _column([row[name] for row in rows]) for name, value in first.items() if value is not None}
    )


def unpack(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows of `pack`; their arrays are numpy's."""
    columns = {
        name: _arrays(column) if pa.types.is_list(column.type) else column.to_pylist()
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return [{name: values[row] for name, values in columns.items()} for row in range(batch.num_rows)]


def padded(batch: pa.RecordBatch, fillers: Mapping[str, int]) -> dict[str, npt.NDArray[np.int64]]:
    """Return one matrix for each column of tokens, filled up to the longest row, and the mask of what is filled.

    Args:
        batch: Tokenised rows, lists of the same lengths in each column.
        fillers: What fills each column up.
    """
    sizes = np.diff(batch.column(0).offsets.to_numpy())
    mask = np.arange(sizes.max(initial=1)) < sizes[:, None]
    found = {"attention_mask": mask.astype(np.int64)}
    for name, value in fillers.items():
        found[name] = np.full(mask.shape, value, np.int64)
        found[name][mask] = batch.column(name).flatten().to_numpy()
    return found


def _column(values: Sequence[Any]) -> pa.Array:
    if not hasattr(values[0], "shape"):
        return pa.array(values)
    arrays = [np.asarray(value)[0] for value in values]
    flat = pa.array(np.concatenate([array.reshape(-1) for array in arrays]))
    if arrays[0].ndim > 1:
        flat = pa.FixedSizeListArray.from_arrays(flat, arrays[0].shape[1])
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *map(len, arrays)]), pa.int32()), flat)


def _arrays(column: pa.ListArray) -> list[npt.NDArray[Any]]:
    inner = column.flatten()
    wide = pa.types.is_fixed_size_list(inner.type)
    values = (inner.flatten() if wide else inner).to_numpy(zero_copy_only=False)
    if wide:
        values = values.reshape(-1, inner.type.list_size)
    offsets = column.offsets.to_numpy()
    starts = offsets - offsets[0]
    # A copy: torch warns of arrays that it may not write into.
    return [values[start:end][np.newaxis].copy() for start, end in pairwise(starts)]
