"""Whether a target can be written at all, as far as that can be known without writing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pyarrow import ArrowException, fs

from spark_infer.errors import TargetError
from spark_infer.tables.formats import format_of
from spark_infer.tables.ledger.owners import closed_to_group
from spark_infer.tables.location import TableLocation
from spark_infer.tables.storage import Storage


def check_writable(location: TableLocation, *, exists: bool) -> None:
    """Refuse a target that this process may not write; where only a write could tell, nothing is refused.

    A new table gets its place by a rename in the folder around it; an existing one takes files. On an object store a
    missing bucket is known, and permissions are not.

    Args:
        location: The target.
        exists: Whether there is a table.

    Raises:
        TargetError: It cannot be written.
    """
    storage = location.storage()
    if storage is None:
        return
    log_folder = format_of(location.format).log_folder
    inside = [storage.below(log_folder)] if log_folder else []
    problem = _local(storage, inside, exists=exists) if storage.scheme == "file" else _far(storage)
    if problem:
        raise TargetError(
            f"The target {location.name} cannot be written: {problem}.",
            next_step=closed_to_group([storage, *inside, storage.parent()])
            or "choose another target, or have it made writable for the user that this process runs as.",
        )


def _local(storage: Storage, inside: Sequence[Storage], *, exists: bool) -> str | None:
    root = Path(storage.root)
    if exists:
        folders = [root, *(place for each in inside if (place := Path(each.root)).is_dir())]
    else:
        # `exists` is false as well for what is below a file, and for what may not be looked into.
        folders = [next(each for each in root.parents if os.path.lexists(each))]
    for folder in folders:
        if not folder.is_dir():
            return f"{folder} is not a folder"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"this process may not write in {folder}"
    return None


def _far(storage: Storage) -> str | None:
    bucket, slash, _ = storage.root.partition("/")
    if storage.renames_atomically or not slash:  # HDFS has folders, and no buckets
        return None
    try:
        missing = storage.files.get_file_info(bucket).type == fs.FileType.NotFound
    except (ArrowException, OSError):  # may not be asked about
        return None
    return f"there is no bucket {bucket}" if missing else None
