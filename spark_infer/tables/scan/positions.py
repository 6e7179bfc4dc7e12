"""Where the rows of a task stand: in which of its files, and at which row of that; read along where somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

PIECE, ROW = "_spark_infer_piece", "_spark_infer_row"
POSITION = (PIECE, ROW)
"""Columns beside those of the table: the number of the piece in its task, and the row in its file, from 0."""


def numbered(
    batches: Iterable[pa.RecordBatch], group_rows: Sequence[int], groups: Sequence[int]
) -> Iterator[pa.RecordBatch]:
    """Add to each row which row of the file it is.

    Args:
        batches: All rows of some row groups, one after the other.
        group_rows: The rows of every row group of the file.
        groups: The row groups that are read.
    """
    rows = np.array([group_rows[group] for group in groups], np.int64)
    ends = np.cumsum(rows)
    before = np.concatenate([[0], np.cumsum(group_rows)])[list(groups)] - (ends - rows)
    read = 0
    for batch in batches:
        at = np.arange(read, read + batch.num_rows)
        yield batch.append_column(ROW, pa.array(at + before[np.searchsorted(ends, at, side="right")]))
        read += batch.num_rows


def located(planned: pa.RecordBatch, found: pa.RecordBatch, piece: int) -> pa.RecordBatch:
    """Add where the rows stand to the columns that are handed on.

    Args:
        planned: The columns of the scan.
        found: What was read for them, with the rows' numbers (`numbered`).
        piece: The number of the piece in its task.
    """
    pieces = pa.array(np.full(planned.num_rows, piece, np.int32))
    return planned.append_column(PIECE, pieces).append_column(ROW, found.column(ROW))
