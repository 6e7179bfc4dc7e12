"""Folders that Structured Streaming writes: their log says which files belong to the table.

A batch that failed leaves files in the folder, and is written again into others. Spark reads the files that the log
``_spark_metadata`` names, and no others (FileStreamSinkLog, CompactibleFileStreamLog and MetadataLogFileIndex).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from spark_infer.errors import SourceError, TargetError
from spark_infer.tables.paths import stays_inside
from spark_infer.tables.storage import DataFile, Storage, data_file, split_uri

STREAM_LOG = "_spark_metadata"
_BATCH = re.compile(r"([0-9]+)(\.compact)?")
_VERSION = "v1"


def has_stream_log(storage: Storage) -> bool:
    """Whether a folder is written by a stream, so that Spark reads what its log names."""
    return bool(storage.kind(STREAM_LOG))


def unread_target(name: str) -> TargetError:
    """The refusal to write into a folder whose log would not name the new files."""
    return TargetError(
        f"{name} is written by a stream: it holds the log {STREAM_LOG}.",
        details=["Spark reads the files that this log names, and would never read the rows of this job."],
        next_step="choose another folder.",
    )


def committed_files(storage: Storage) -> list[DataFile]:
    """The files that the log names, sorted by path, with their state on the disk.

    Raises:
        SourceError: The log is incomplete, or names files that are not there as it describes them.
    """
    named = [file for name in _batches(storage) for file in _files(storage, name)]
    sizes = dict(named)
    if not sizes:
        raise _broken(storage, "it names no file yet")
    if len(sizes) < len(named):
        raise _broken(storage, "it names a file twice")
    infos = storage.files.get_file_info([storage.at(path) for path in sizes])
    for (path, size), info in zip(sizes.items(), infos, strict=True):
        if not info.is_file or info.size != size:
            what = "is missing" if not info.is_file else f"has {info.size:,} bytes, and {size:,} in the log"
            raise _broken(storage, f"the file {path} {what}")
    return [data_file(path, info) for path, info in sorted(zip(sizes, infos, strict=True))]


def _batches(storage: Storage) -> list[str]:
    """The names of the log's files that count: the newest compaction, and the batches after it."""
    names = {name for name in storage.names(STREAM_LOG) if _BATCH.fullmatch(name)}
    if not names:
        raise _broken(storage, "the stream has not committed a batch")
    compacted = {int(name.removesuffix(".compact")) for name in names if name.endswith(".compact")}
    newest = max(int(name.removesuffix(".compact")) for name in names)
    start = max(compacted, default=0)
    wanted = [f"{start}.compact" if compacted else "0", *map(str, range(start + 1, newest + 1))]
    if missing := [name for name in wanted if name not in names]:
        raise _broken(storage, f"batch {missing[0]} is missing, and the newest is {newest}")
    return wanted


def _files(storage: Storage, name: str) -> Iterator[tuple[str, int]]:
    """The files that one file of the log names, with their sizes."""
    version, *lines = (storage.read(f"{STREAM_LOG}/{name}") or b"").decode().split("\n")
    if version.strip() != _VERSION:
        raise _broken(storage, f"batch {name} begins with {version[:20]!r} instead of {_VERSION!r}")
    try:
        entries: list[dict[str, Any]] = [json.loads(line) for line in lines if line]
        files = [(_below(storage, each["path"]), int(each["size"])) for each in entries if not each["isDir"]]
        actions = {each["action"] for each in entries}
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(storage, f"batch {name} is damaged") from error
    if actions - {"add"}:
        raise _broken(storage, f"batch {name} holds the action {min(actions - {'add'})!r}")
    yield from files


def _below(storage: Storage, uri: str) -> str:
    """The path of a file below the folder, from its encoded URI."""
    scheme, authority, path = split_uri(uri)
    own_scheme, own_authority, own = split_uri(storage.uri)
    inside = unquote(path).removeprefix(f"{own}/")
    if (scheme, authority) != (own_scheme, own_authority) or inside == unquote(path) or not stays_inside(inside):
        raise _broken(storage, f"it names {uri}, which is not below {storage.uri}; was the folder moved or linked?")
    return inside


def _broken(storage: Storage, why: str) -> SourceError:
    return SourceError(
        f"{storage.root} is written by a stream, and its log {STREAM_LOG} does not tell which rows it holds.",
        details=[why],
        next_step="let the stream's query finish a batch, or write what `spark.read.parquet` gives to another folder.",
    )
