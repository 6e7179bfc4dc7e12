"""The encoded bytes of each row: from a binary column, or from files that a column names."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pyarrow as pa
from pyarrow import fs

from spark_infer.config.decode import Encoded
from spark_infer.errors import StepFailedError


class UndecodableFileError(ValueError):
    """A file is not what it should be; its text says why, and quotes nothing of the content."""


Reason = tuple[str, str]
Contents = Iterator[bytes | Reason]
"""For each row its bytes, or the class and the text of the reason why there are none."""

_NOT_FILES = {
    fs.FileType.NotFound: ("FileNotFoundError", "there is no such file"),
    fs.FileType.Directory: ("IsADirectoryError", "it is a folder"),
    fs.FileType.Unknown: ("OSError", "it is not a regular file"),
}
_NOT_OPENED = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "this process may not read it",
    errno.EPERM: "this process may not read it",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "its path is too long",
    errno.ELOOP: "a link on its path leads back to itself",
    errno.ENXIO: "it is not a regular file",
}
"""What is the fault of a path; other errors are those of the file system."""


def contents_of(column: pa.Array, how: Encoded) -> Contents:
    """Return the bytes of each row, one at a time.

    Raises:
        StepFailedError: A file cannot be reached, which is not the fault of its row.
    """
    return _stored(column, how.max_bytes) if how.root is None else _opened(column, how, how.root)


def _stored(column: pa.Array, most: int) -> Contents:
    for value in column:
        content = value.as_buffer()
        if content is None:
            yield UndecodableFileError.__name__, "it is null"
        elif content.size > most:
            yield _too_large(content.size, most)
        else:
            yield content.to_pybytes()


def _opened(column: pa.Array, how: Encoded, root: str) -> Contents:
    files, base = _file_system(root)
    for path in column.to_pylist():
        if path is None:
            yield UndecodableFileError.__name__, "it is null"
            continue
        place = _place(path, root, base)
        if place is None:
            yield "PermissionError", "it does not lie below `root`"
            continue
        try:
            yield _read(files, place, how.max_bytes)
        except (OSError, pa.ArrowException) as error:
            number = errno.ENOENT if isinstance(error, FileNotFoundError) else getattr(error, "errno", None)
            if number not in _NOT_OPENED:
                raise StepFailedError(
                    f"A file that column {how.column!r} names cannot be reached.",
                    next_step="run the same command again.",
                ) from error
            yield type(error).__name__, _NOT_OPENED[number]


def _read(files: fs.FileSystem, place: str, most: int) -> bytes | Reason:
    info = files.get_file_info(place)
    if info.type in _NOT_FILES:  # to open a pipe would wait for whoever writes to it
        return _NOT_FILES[info.type]
    if info.size > most:
        return _too_large(info.size, most)
    with files.open_input_file(place) as stream:
        return bytes(stream.read())


def _too_large(size: int, most: int) -> Reason:
    return UndecodableFileError.__name__, f"it has {size:,} bytes, and `max_bytes` is {most:,}"


def _file_system(root: str) -> tuple[fs.FileSystem, str]:
    scheme = urlsplit(root).scheme
    if scheme in ("", "file"):
        return fs.LocalFileSystem(), os.path.realpath(root.removeprefix("file://"))
    files, base = fs.FileSystem.from_uri(quote(f"s3{root[3:]}" if scheme in ("s3a", "s3n") else root, safe=":/"))
    return files, base.rstrip("/")


def _place(path: str, root: str, base: str) -> str | None:
    """Where a path is for the file system; None where it does not lie below the root, or is a link out of it."""
    if "\0" in path:
        return None
    below = path.removeprefix("file://") if root.startswith(("/", "file:")) else path
    for start in (root.removeprefix("file://"), base):
        below = below.removeprefix(start.rstrip("/") + "/")
    place = posixpath.normpath(posixpath.join(base, below))
    if base.startswith("/"):
        place = os.path.realpath(place)
    return place if place.startswith(base.rstrip("/") + "/") else None
