"""Look into archives and compressed files, as everything that a file can be read as.

A file may be a tar and a zip at once, and readers of zips differ in where they look for the list of members. What two
readers could read differently is not looked into, and neither is what unpacks to too much: `NotLookedIntoError`.
"""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO, cast

_MOST_BYTES = 2**28
_MOST_TIMES = 4
_CHUNK = 2**16
_IN_MEMORY = 2**22
_END = b"PK\x05\x06"
_END_SIZE = 22
_ZIP64_SIZE = 76
_DESCRIPTOR_SIZES = (0, 12, 16, 20, 24)


class NotLookedIntoError(Exception):
    """A file that cannot be looked into, and why."""


class Allowance:
    """How many bytes may still be unpacked from one file: 256 MiB, or four times its size if that is more."""

    def __init__(self, file: IO[bytes]) -> None:
        """Measure a file."""
        self.left = max(_MOST_BYTES, _MOST_TIMES * file.seek(0, io.SEEK_END))

    def unpacked(self, blocks: Iterable[bytes]) -> IO[bytes]:
        """Put what is unpacked block by block into a temporary file; little of it is in memory at a time."""
        content = cast("IO[bytes]", tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - closed by whoever looks
        for block in blocks:
            self.left -= len(block)
            if self.left < 0:
                content.close()
                raise NotLookedIntoError("unpacks to more than what is looked at")
            content.write(block)
        content.seek(0)
        return content


class _Part(io.RawIOBase):
    """A part of a file, which is not copied."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = min(max(0, at), self._size)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed's name for both
        self._file.seek(self._start + self._at)
        content = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def _part(file: IO[bytes], start: int, size: int) -> IO[bytes]:
    return io.BufferedReader(_Part(file, start, size), _CHUNK)


def members(file: IO[bytes], head: bytes, allowance: Allowance) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of what a file packs, in every format that it can be read as.

    Raises:
        NotLookedIntoError: Readers could read it differently, or it unpacks to too much. A damaged file makes its
            reader raise other errors.
    """
    if head.startswith(b"\x93NUMPY"):
        yield from _objects_of_numpy(file)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        yield "", allowance.unpacked(_blocks(cast("IO[bytes]", gzip.GzipFile(fileobj=file))))
    if head.startswith(b"BZh"):
        yield "", allowance.unpacked(_blocks(bz2.BZ2File(file)))
    if head.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        unpacking = lzma.LZMAFile(file)  # noqa: SIM115 - the file below it stays open
        yield "", allowance.unpacked(_blocks(cast("IO[bytes]", unpacking)))
    if len(head) > 1 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0:
        yield "", allowance.unpacked(_inflated(file))
    if _is_tar(file):
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if (content := tar.extractfile(member)) is not None:
                    yield member.name, content
    if head.startswith(b"PK\x03\x04") or _END in _tail(file):
        yield from _zipped(file, allowance)


def _is_tar(file: IO[bytes]) -> bool:
    file.seek(0)
    try:
        tarfile.TarInfo.frombuf(file.read(512), "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    finally:
        file.seek(0)
    return True


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, _CHUNK), b"")


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    """What zlib compressed, in one stream or in several."""
    unpacking, packed = zlib.decompressobj(), b""
    while packed or (packed := file.read(_CHUNK)):
        yield unpacking.decompress(packed, _CHUNK)
        packed = unpacking.unconsumed_tail
        if unpacking.eof:
            packed, unpacking = unpacking.unused_data, zlib.decompressobj()
    yield unpacking.flush()


def _objects_of_numpy(file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """The pickle behind the header of an array of objects."""
    import numpy as np

    file.seek(6)
    major = file.read(2)[0]
    size = int.from_bytes(file.read(2 if major == 1 else 4), "little")
    if size > _CHUNK:
        raise NotLookedIntoError("a header of NumPy that is too long")
    header = file.read(size)
    start = file.tell()
    described = ast.literal_eval(header.decode("utf-8" if major > 2 else "latin-1").strip())["descr"]
    if np.lib.format.descr_to_dtype(described).hasobject:
        yield "", _part(file, start, file.seek(0, io.SEEK_END) - start)


def _tail(file: IO[bytes]) -> bytes:
    """What the list of a zip's members may end in: a record and a comment."""
    file.seek(max(0, file.seek(0, io.SEEK_END) - _END_SIZE - 2**16))
    return file.read()


def _zipped(file: IO[bytes], allowance: Allowance) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(file) as archive:
        starts = _starts(file, archive)
        for member in archive.infolist():
            with archive.open(member) as content:  # which compares the two names of a member
                if member.compress_type != zipfile.ZIP_STORED:
                    unpacked = allowance.unpacked(_blocks(content))
                elif member.compress_size == member.file_size:
                    unpacked = _part(file, starts[member.header_offset], member.file_size)
                else:
                    raise NotLookedIntoError("a zip with a member of two sizes")
            yield member.filename, unpacked


def _starts(file: IO[bytes], archive: zipfile.ZipFile) -> dict[int, int]:
    """Where each member's content begins, by where the member does.

    Raises:
        NotLookedIntoError: Members and their list do not fill the zip from its beginning to its end.
    """
    starts, at = {}, 0
    for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
        if member.header_offset != at:
            raise NotLookedIntoError("a zip with bytes that no member holds, or two do")
        file.seek(at + 26)
        name, extra = struct.unpack("<HH", file.read(4))
        starts[at] = at + 30 + name + extra
        at = starts[at] + member.compress_size
        at += _descriptor_size(file, at, member)
    if not at == _list_at(file) == archive.start_dir:
        raise NotLookedIntoError("a zip with more than one list of members, or with bytes around it")
    return starts


def _descriptor_size(file: IO[bytes], at: int, member: zipfile.ZipInfo) -> int:
    """The size of the checksum and sizes that some writers put behind a member."""
    if not member.flag_bits & 8:
        return 0
    file.seek(at)
    found = file.read(28)
    for size in _DESCRIPTOR_SIZES:
        if found[size : size + 4] in (b"PK\x03\x04", b"PK\x01\x02"):
            return size
    return 0


def _list_at(file: IO[bytes]) -> int:
    """Where the list of members begins by the record that ends a zip (APPNOTE.TXT, 4.3.14 to 4.3.16).

    Raises:
        NotLookedIntoError: The record is not the last thing in the file, or not what follows the list.
    """
    tail = _tail(file)
    at = tail.rfind(_END)
    record = tail[at : at + _END_SIZE]
    if len(record) < _END_SIZE or at + _END_SIZE + int.from_bytes(record[-2:], "little") != len(tail):
        raise NotLookedIntoError("a zip with bytes behind it")
    size, offset = struct.unpack("<12xII2x", record)
    end = file.seek(0, io.SEEK_END) - len(tail) + at
    file.seek(max(0, end - _ZIP64_SIZE))
    large = file.read(_ZIP64_SIZE)
    if large[-20:-16] == b"PK\x06\x07" and len(large) == _ZIP64_SIZE:
        end -= _ZIP64_SIZE
        large_size, large_offset, large_at = struct.unpack("<40xQQ8xQ4x", large)
        if large_at != end or size not in (large_size, 2**32 - 1) or offset not in (large_offset, 2**32 - 1):
            raise NotLookedIntoError("a zip with two ends")
        size, offset = large_size, large_offset
    if offset + size != end:
        raise NotLookedIntoError("a zip with bytes around its list of members")
    return int(offset)
