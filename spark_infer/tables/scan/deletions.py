"""Leave rows of a file out by their positions: those that deletion vectors delete, or that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_infer.errors import SourceError, SourceReadError
from spark_infer.tables.delta.deletion_vector import deleted_rows
from spark_infer.tables.listing import Listing
from spark_infer.tables.storage import Storage

Positions = NDArray[np.int64]


def with_group_deletes(storage: Storage, listing: Listing, paths: Iterable[str]) -> Listing:
    """Count the deleted rows of each row group, so that a file can be cut and its rows still be counted.

    Args:
        storage: The table's folder.
        listing: The files, with the footers of those in question.
        paths: The files in question.

    Raises:
        SourceError: A deletion vector is missing or damaged.
    """
    wanted = set(paths)

    def counts(path: str, deleted: Positions) -> tuple[int, ...]:
        ends = np.cumsum(listing.footers[path].group_rows)
        return tuple(np.diff(np.searchsorted(deleted, ends), prepend=0).tolist())

    try:
        files = tuple(
            replace(file, group_deletes=counts(file.path, deleted_rows(storage, file.vector, file.path)))
            if file.vector is not None and file.path in wanted
            else file
            for file in listing.files
        )
    except SourceReadError as error:
        raise SourceError(error.what, details=error.details, next_step=error.next_step) from error
    return replace(listing, files=files)


def within(deleted: Positions, group_rows: Sequence[int], groups: Sequence[int]) -> Positions:
    """Return the positions of deleted rows among the rows of some row groups, read one after the other.

    Args:
        deleted: Their positions in the file, ascending.
        group_rows: The rows of every row group of the file.
        groups: The row groups that are read.
    """
    starts = np.concatenate([[0], np.cumsum(group_rows)])
    parts, before = [np.empty(0, np.int64)], 0
    for group in groups:
        first, last = np.searchsorted(deleted, starts[group : group + 2])
        parts.append(deleted[first:last] - starts[group] + before)
        before += group_rows[group]
    return np.concatenate(parts)


def groups_with(rows: Positions, group_rows: Sequence[int], groups: Sequence[int]) -> list[int]:
    """Return those of some row groups in which one of some rows is.

    Args:
        rows: Their positions in the file, ascending.
        group_rows: The rows of every row group of the file.
        groups: The row groups in question.
    """
    starts = np.concatenate([[0], np.cumsum(group_rows)])
    first = np.searchsorted(rows, starts)
    return [group for group in groups if first[group] < first[group + 1]]


def without(deleted: Positions, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Leave deleted rows out of batches that come one after the other; a batch without any passes as it is."""
    start = 0
    for batch in batches:
        first, last = np.searchsorted(deleted, (start, start + batch.num_rows))
        if first < last:
            kept = np.ones(batch.num_rows, bool)
            kept[deleted[first:last] - start] = False
            yield batch.filter(pa.array(kept))
        else:
            yield batch
        start += batch.num_rows
