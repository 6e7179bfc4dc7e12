"""The pages of one column in one row group: what they will take in memory, seen before they are decoded.

https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (PageHeader)
https://parquet.apache.org/docs/file-format/data-pages/encodings/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_infer.tables.scan.thrift import STRUCT, Reader, varint

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_KIND, _SIZE, _STORED, _OF_DATA, _OF_DICTIONARY, _OF_DATA_V2 = 1, 2, 3, 5, 7, 8
"""Numbers of the fields of a page's header."""
_VALUES, _ENCODING, _LEVEL_ENCODING, _ENCODING_V2, _LEVELS_V2 = 1, 2, 4, 4, 6
"""Numbers of the fields of the headers inside it."""
_INDEX_ENCODINGS = (2, 8)
_SHARED_BEGINNINGS = 7
_RUNS = 3
_LENGTH = struct.Struct("<I")
_GROUPS_AT_ONCE = 2**14


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        values: How many values it has, nulls and empty lists among them.
        size: Its bytes once they are decompressed.
        is_dictionary: Whether it is the dictionary.
        is_v2: Whether it is a data page whose levels lie before the compressed part.
        encoding: The number of the values' encoding.
        levels: In a page of version 2, the bytes of the repetition levels; else the number of their encoding.
        stored: Its bytes in the file, or as many of them as there are.
    """

    values: int
    size: int
    is_dictionary: bool
    is_v2: bool
    encoding: int
    levels: int
    stored: memoryview

    @property
    def has_places(self) -> bool:
        """Whether its values are places in the dictionary."""
        return not self.is_dictionary and self.encoding in _INDEX_ENCODINGS

    @property
    def shares_beginnings(self) -> bool:
        """Whether its texts are stored without what they share with the text before."""
        return self.encoding == _SHARED_BEGINNINGS


def pages(data: bytes) -> Iterator[Page]:
    """Yield the pages of a column chunk; the last one may lack a part of its bytes.

    Args:
        data: The chunk, or its beginning.

    Raises:
        ValueError: There is something else.
    """
    reader, view = Reader(data), memoryview(data)
    while reader.at < len(data):
        header = reader.value(STRUCT)
        try:
            kind, size, stored = header[_KIND], header[_SIZE], header[_STORED]
            facts = {_DATA: _OF_DATA, _DICTIONARY: _OF_DICTIONARY, _DATA_V2: _OF_DATA_V2}.get(kind)
            found = header[facts] if facts is not None else None
            is_v2 = kind == _DATA_V2
            values, encoding, levels = 0, 0, 0
            if found is not None:
                values, encoding = found[_VALUES], found[_ENCODING_V2 if is_v2 else _ENCODING]
                levels = found[_LEVELS_V2] if is_v2 else found.get(_LEVEL_ENCODING, _RUNS)
            numbers = (size, stored, values, encoding, levels)
            if not all(isinstance(each, int) and 0 <= each < 2**31 for each in numbers):
                raise ValueError("a page of an impossible size")
            start, reader.at = reader.at, reader.at + stored
            if found is None:  # of a kind that readers pass over
                continue
            yield Page(
                values=values,
                size=size,
                is_dictionary=kind == _DICTIONARY,
                is_v2=is_v2,
                encoding=encoding,
                levels=levels,
                stored=view[start : start + stored],
            )
        except (KeyError, TypeError) as error:
            raise ValueError("a page without a header") from error


def longest_text(page: Page, compression: str) -> int:
    """Return the bytes of the longest text of a dictionary.

    Args:
        page: The dictionary.
        compression: How it is compressed, as pyarrow calls it.

    Raises:
        ValueError: It holds something else.
    """
    data = _decompressed(page.stored, page.size, compression)
    at = longest = 0
    end, length_at = len(data), _LENGTH.unpack_from
    while at < end:
        try:
            (length,) = length_at(data, at)
        except struct.error as error:
            raise ValueError("a dictionary that ends too early") from error
        if length > longest:
            longest = length
        at += 4 + length
    return longest


def row_starts(page: Page, compression: str, deepest: int, most: int) -> NDArray[np.int64]:
    """Return which values of a data page are the first of a row, by their repetition levels.

    Args:
        page: The page.
        compression: How it is compressed, as pyarrow calls it.
        deepest: The highest repetition level.
        most: How many rows it may begin.

    Raises:
        ValueError: It holds something else.
    """
    if page.is_v2:
        levels = bytes(page.stored[: page.levels])
    elif page.levels != _RUNS:
        raise ValueError("repetition levels of an old kind")
    else:
        data = _decompressed(page.stored, page.size, compression)
        levels = bytes(data[4 : 4 + _LENGTH.unpack_from(data)[0]]) if len(data) >= 4 else b""
    starts, found = [np.empty(0, np.int64)], 0
    for zeros in _zeros(levels, deepest.bit_length(), page.values, most):
        found += len(zeros)
        if found > most:
            raise ValueError("more rows than the footer counts")
        starts.append(zeros)
    return np.sort(np.concatenate(starts))


def _zeros(levels: bytes, width: int, count: int, most: int) -> Iterator[NDArray[np.int64]]:
    """Yield where zeros stand in a mix of runs and packed bits (the encoding RLE), in bounded memory.

    The order of what is yielded may differ from that of the levels.
    """
    at = done = waiting = 0
    end = len(levels)
    packed: list[tuple[int, int, int]] = []
    size = (width + 7) // 8
    nothing = bytes(size)
    while done < count:
        head, at = (levels[at], at + 1) if at < end and levels[at] < 128 else varint(levels, at)
        run = head >> 1
        if not run:
            raise ValueError("a run of nothing")
        if not head & 1:
            if levels[at : at + size] == nothing:
                yield np.arange(done, done + min(run, count - done, most + 1))
            at, done = at + size, done + run
            continue
        for first in range(0, run, _GROUPS_AT_ONCE):
            groups = run if run < _GROUPS_AT_ONCE else min(_GROUPS_AT_ONCE, run - first)
            packed.append((at + first * width, groups, done + 8 * first))
            waiting += groups
            if waiting >= _GROUPS_AT_ONCE:
                yield _packed_zeros(levels, width, count, packed)
                packed, waiting = [], 0
        at, done = at + run * width, done + 8 * run
    if packed:
        yield _packed_zeros(levels, width, count, packed)


def _packed_zeros(levels: bytes, width: int, count: int, packed: list[tuple[int, int, int]]) -> NDArray[np.int64]:
    """Where zeros stand in groups of eight values, given by their place, their number and their first value."""
    at, groups, first = np.array(packed, np.int64).T
    nth = np.arange(groups.sum()) - np.repeat(np.cumsum(groups) - groups, groups)
    places = (np.repeat(at, groups) + nth * width)[:, np.newaxis] + np.arange(width)
    if places.max() >= len(levels):
        raise ValueError("levels that end too early")
    bits = np.unpackbits(np.frombuffer(levels, np.uint8)[places], axis=1, bitorder="little")
    zeros = np.flatnonzero(~bits.reshape(-1, width).any(axis=1)) if width > 1 else np.flatnonzero(bits == 0)
    found: NDArray[np.int64] = (np.repeat(first, groups) + nth * 8)[zeros // 8] + zeros % 8
    return found[found < count]


def _decompressed(stored: memoryview, size: int, compression: str) -> memoryview:
    if compression == "UNCOMPRESSED":
        return stored
    try:
        # What Parquet calls LZ4 is a block without a frame.
        codec = pa.Codec("lz4_raw" if compression.startswith("LZ4") else compression.lower())
        return memoryview(codec.decompress(stored, size))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"a page that is not {compression}") from error
