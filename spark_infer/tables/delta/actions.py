"""The actions of Delta's log, out of its commits and of its checkpoints in every form, within bounds of memory.

deltalake has no such bounds: a checkpoint of a few kilobytes may take gigabytes once it is decoded.

Format: https://github.com/delta-io/delta/blob/master/PROTOCOL.md, "Delta Log Entries" and "Checkpoints"
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.core.pylist import to_pylist
from spark_infer.tables.delta.log_check import checked_entry, parsed
from spark_infer.tables.scan import batch_rows
from spark_infer.tables.storage import Storage

MOST_LOG_BYTES = 64 * 2**20
MOST_DECODED_BYTES = 8 * MOST_LOG_BYTES
"""How large a checkpoint may be in memory: a text that stands once in a file may stand in many of its entries."""

_DECODED = f"its checkpoint takes more than {MOST_DECODED_BYTES // 2**20} MiB once it is decoded"
_BATCH_BYTES = 16 * 2**20
_BATCH_ROWS = 10_000

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

    def __init__(self, why: str = f"it has more than {MOST_LOG_BYTES // 2**20} MiB to read") -> None:
        super().__init__(why, for_spark=True)


class _Decoded:
    """Counts the bytes of a checkpoint in memory, over all of its files."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count bytes.

        Raises:
            TooLargeError: They are too many.
        """
        self._bytes += size
        if self._bytes > MOST_DECODED_BYTES:
            raise TooLargeError(_DECODED)


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
            lines = filter(str.strip, stream.read().decode().split("\n"))
            yield from map(checked_entry, map(parsed, lines))


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
        TooLargeError: The sidecars, or what their rows take in memory, are too large to read in a moment.
    """
    named, decoded = [], _Decoded()
    for path in paths:
        for action in _checkpoint_file(storage, path, (*wanted, "sidecar"), decoded):
            if action.get("sidecar"):
                named.append(action["sidecar"])
            else:
                yield action
    if not sidecars:
        return
    # A sidecar lies in this folder, whether the checkpoint has its name or its whole path.
    sidecars_at = [f"_delta_log/_sidecars/{posixpath.basename(unquote(each['path']))}" for each in named]
    sizes = storage.files.get_file_info([storage.at(path) for path in sidecars_at])
    if sum(info.size or 0 for info in sizes) > MOST_LOG_BYTES:
        raise TooLargeError
    for path in sidecars_at:
        yield from _checkpoint_file(storage, path, wanted, decoded)


def _checkpoint_file(storage: Storage, path: str, wanted: Sequence[str], decoded: _Decoded) -> Iterator[dict[str, Any]]:
    if path.endswith(".json"):
        yield from commit_actions(storage, [path])
        return
    with storage.files.open_input_file(storage.at(path)) as stream:
        file = pq.ParquetFile(stream)
        columns = [name for name in wanted if name in file.schema_arrow.names]
        if not all(_is_plain(file.schema_arrow.field(name).type) for name in columns):
            raise UnreadableLogError("its checkpoint has types that are not those of Delta", for_spark=True)
        groups = range(file.metadata.num_row_groups)
        if _stored_bytes(file.metadata, columns) > MOST_DECODED_BYTES:
            raise TooLargeError(_DECODED)
        try:
            rows = batch_rows.rows_that_fit(_BATCH_BYTES, _BATCH_ROWS, stream, file.metadata, groups, columns)
        except batch_rows.TooLargeError as error:
            raise TooLargeError(_DECODED) from error
        except ValueError as error:
            raise UnreadableLogError("a page of its checkpoint is of an unknown kind", for_spark=True) from error
        for batch in file.iter_batches(rows, columns=columns):
            decoded.add(batch.nbytes)
            yield from map(checked_entry, to_pylist(batch))


def _stored_bytes(footer: pq.FileMetaData, columns: Sequence[str]) -> int:
    """The bytes of the pages of some columns once they are decompressed, as the footer says."""
    groups = map(footer.row_group, range(footer.num_row_groups))
    chunks = (group.column(at) for group in groups for at in range(group.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] in columns)


def _is_plain(kind: pa.DataType) -> bool:
    """Whether arrays of a type have each of their values by itself: a value that they share takes its bytes once."""
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind):
        return False
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return False
    return all(_is_plain(kind.field(at).type) for at in range(kind.num_fields))


def action_key(action: Mapping[str, Any]) -> tuple[str, str]:
    """What tells one logical file from another: its path, and its deletion vector."""
    vector = action.get("deletionVector") or {}
    return normal_path(action["path"]), "".join(
        str(vector.get(part)) for part in ("storageType", "pathOrInlineDv", "offset")
    )


def normal_path(path: str) -> str:
    """A path of the log without ``.`` and ``..``, as Delta compares paths (`CanonicalPathFunction`)."""
    return posixpath.normpath(path) if path else path
