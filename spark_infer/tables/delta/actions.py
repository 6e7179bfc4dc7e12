"""The actions of Delta's log, out of its commits and of its checkpoints in every form.

Format: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Delta Log Entries" and "Checkpoints"
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from pyarrow import parquet as pq

from spark_infer.tables.storage import Storage

MOST_LOG_BYTES = 64 * 2**20

_STATE = ("add", "metaData", "protocol")
_CLASSIC = re.compile(r"(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet")
_V2 = re.compile(r"(\d{20})\.checkpoint\.[0-9a-fA-F-]{36}\.(?:json|parquet)")


class UnreadableLogError(Exception):
    """A log that cannot be read here.

    Attributes:
        for_spark: Whether Spark can read it; else it is damaged, and Spark refuses it too.
    """

    def __init__(self, why: str, *, for_spark: bool = False) -> None:
        super().__init__(why)
        self.for_spark = for_spark


class TooLargeError(UnreadableLogError):
    """A log that is too large to read in a moment."""

    def __init__(self) -> None:
        super().__init__(f"it has more than {MOST_LOG_BYTES // 2**20} MiB to read", for_spark=True)


def checkpoint_part(name: str) -> tuple[int, int] | None:
    """Return the version and the number of parts of the checkpoint that a file is a part of; None for other files."""
    if match := _CLASSIC.fullmatch(name):
        return int(match[1]), int(match[3] or 1)
    if match := _V2.fullmatch(name):
        return int(match[1]), 1
    return None


def commit_actions(storage: Storage, paths: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Read the actions of some commits, in order."""
    for path in paths:
        with storage.files.open_input_stream(storage.at(path)) as stream:
            # Only a line feed ends an action: texts may hold the other characters that Python takes for an end of line.
            yield from map(json.loads, filter(str.strip, stream.read().decode().split("\n")))


def checkpoint_actions(
    storage: Storage, paths: Iterable[str], wanted: Sequence[str] = _STATE, *, sidecars: bool = True
) -> Iterator[dict[str, Any]]:
    """Read the actions of a checkpoint.

    Args:
        storage: The table's folder.
        paths: The parts of the checkpoint; of a version-2 checkpoint, its one file.
        wanted: The kinds of actions to read.
        sidecars: Whether to read the files that a version-2 checkpoint names: they hold its `add` actions.

    Raises:
        TooLargeError: The sidecars are too large to read in a moment.
    """
    named = []
    for path in paths:
        for action in _checkpoint_file(storage, path, (*wanted, "sidecar")):
            if action.get("sidecar"):
                named.append(action["sidecar"])
            else:
                yield action
    if not sidecars:
        return
    if sum(each["sizeInBytes"] for each in named) > MOST_LOG_BYTES:
        raise TooLargeError
    for each in named:
        # A sidecar lies in this folder, whether the checkpoint has its name or its whole path.
        name = posixpath.basename(unquote(each["path"]))
        yield from _checkpoint_file(storage, f"_delta_log/_sidecars/{name}", wanted)


def _checkpoint_file(storage: Storage, path: str, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    if path.endswith(".json"):
        yield from commit_actions(storage, [path])
        return
    with storage.files.open_input_file(storage.at(path)) as stream:
        file = pq.ParquetFile(stream)
        columns = [name for name in wanted if name in file.schema_arrow.names]
        yield from file.read(columns=columns).to_pylist(maps_as_pydicts="strict")


def action_key(action: Mapping[str, Any]) -> tuple[str, str]:
    """What tells one logical file from another: its path, and its deletion vector."""
    vector = action.get("deletionVector") or {}
    return normal_path(action["path"]), "".join(
        str(vector.get(part)) for part in ("storageType", "pathOrInlineDv", "offset")
    )


def normal_path(path: str) -> str:
    """A path of the log without ``.`` and ``..``, as Delta compares paths (`CanonicalPathFunction`)."""
    return posixpath.normpath(path) if path else path
