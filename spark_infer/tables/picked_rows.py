"""Single rows of a source, picked by file and position: what quarantined rows are found by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from spark_infer.errors import SourceError, SourceReadError
from spark_infer.tables.delta.deletion_vector import can_read, deleted_rows
from spark_infer.tables.listing import Listing
from spark_infer.tables.snapshot import Snapshot

_MOST_SHOWN = 5


def picked_rows(
    snapshot: Snapshot, picked: Mapping[str, tuple[int, ...]], counted: Callable[[Snapshot], Snapshot]
) -> Snapshot:
    """Narrow a snapshot to some of its rows.

    Args:
        snapshot: The source.
        picked: File to those of its rows that are read, ascending.
        counted: Counts the rows of files, where that is possible at no great cost.

    Raises:
        SourceError: A file is not part of the source any more, or has fewer rows; or a row is deleted; or only Spark
            knows the files.
    """
    if snapshot.listing is None:
        raise SourceError(
            f"Only Spark knows the files of {snapshot.location.name}, and so single rows of it cannot be found again.",
            next_step="select them with `source.where`.",
        )
    snapshot = counted(replace(snapshot, listing=snapshot.listing.where(lambda file: bool(picked.get(file.path)))))
    listing = snapshot.listing or Listing(())
    if gone := list(_gone(snapshot, listing, picked)):
        more = len(gone) - _MOST_SHOWN
        raise SourceError(
            f"Rows of {snapshot.location.name} are no longer where they were: they cannot be found again by file and "
            "row.",
            details=[*gone[:_MOST_SHOWN], *([f"and {more:,} more files"] if more > 0 else [])],
            next_step="read a version of a Delta table that still has the files (--set source.version=…); or score the "
            "others alone with --run-id, and delete the rows that are gone from the quarantine table.",
        )
    files = tuple(replace(file, picked=rows, rows=len(rows)) for file in listing.files if (rows := picked[file.path]))
    listing = replace(listing, files=files)
    return replace(
        snapshot, listing=listing, rows=listing.rows, files=len(files), size_bytes=listing.size_bytes, is_picked=True
    )


def _gone(snapshot: Snapshot, listing: Listing, picked: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Say which files are gone or were written again, which are shorter, and of which ones rows are deleted."""
    there = {file.path: file for file in listing.files}
    yield from (f"{path}: not part of the source any more, or written again" for path in picked if path not in there)
    storage = snapshot.location.storage()
    for path, file in there.items():
        rows = None if file.rows is None else file.rows + (file.vector.rows if file.vector else 0)
        if rows is not None and picked[path][-1] >= rows:
            yield f"{path}: has {rows:,} rows, and the quarantine table names row {picked[path][-1]:,} (from 0 on)"
        if file.vector is None or storage is None or not can_read():
            continue
        try:
            deleted = np.intersect1d(deleted_rows(storage, file.vector, path), np.array(picked[path], np.int64))
        except SourceReadError as error:
            raise SourceError(error.what, details=error.details, next_step=error.next_step) from error
        if len(deleted):
            yield f"{path}: {len(deleted):,} of {len(picked[path]):,} rows are deleted"
