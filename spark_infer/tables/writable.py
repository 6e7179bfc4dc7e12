"""Whether a target can be written at all, as far as that can be known without writing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from pyarrow import ArrowException, fs

from spark_infer.errors import TargetError
from spark_infer.tables.ledger.owners import KNOWN, group_name, own_groups, user_name
from spark_infer.tables.location import TableLocation
from spark_infer.tables.storage import Storage

_LOG = "_delta_log"


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
    problem = _local(storage, exists=exists) if storage.scheme == "file" else _far(storage)
    if problem:
        raise TargetError(
            f"The target {location.name} cannot be written: {problem}.",
            next_step=closed_to_group([storage, storage.below(_LOG), storage.parent()])
            or "choose another target, or have it made writable for the user that this process runs as.",
        )


def _local(storage: Storage, *, exists: bool) -> str | None:
    root = Path(storage.root)
    if exists:
        folders = [root, *([root / _LOG] if (root / _LOG).is_dir() else [])]
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


def closed_to_group(folders: Iterable[Storage]) -> str:
    """Say which of some folders has a group of this process that may not write there, and what to do; else nothing.

    A run with the umask 022 leaves such folders to the other members of its group.
    """
    for folder in folders:
        if not KNOWN or folder.scheme != "file":
            continue
        try:
            facts = os.stat(folder.root)
        except OSError:
            continue
        if facts.st_uid == os.geteuid() or facts.st_mode & stat.S_IWGRP or facts.st_gid not in own_groups():
            continue
        owner, group = user_name(facts.st_uid), group_name(facts.st_gid)
        return (
            f"{folder.root} has the group {group} and the mode {stat.S_IMODE(facts.st_mode):04o}, as after a run of "
            f"{owner} with the umask 022: have {owner} run `chmod -R g+w` on the table and on the folder of its "
            "ledger, and set the umask 002 in the runs of all members."
        )
    return ""
