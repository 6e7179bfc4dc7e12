"""How many rows of a Parquet file are decoded at once: what is small in a file may be large in memory.

A text stands once in a dictionary and in every row, a list of equal numbers takes a few bytes, and a compressed page
a thousandth of what it holds. A footer says how much a row group takes in all, not where: large rows may lie side by
side. Where the mean of a row group may mislead, `pages.py` says how large neighbouring rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_infer.config import DEFAULT_MAX_BATCH_BYTES
from spark_infer.tables.scan.pages import Page, longest_text, pages, row_starts

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a value in memory."""
_LENGTH_BYTES = 4
"""Bytes of the length of a text or list in memory."""

_NEIGHBOURS = 4
"""How much larger than a batch neighbouring rows may be before fewer are decoded at once."""
_LARGEST = 16
"""How much larger than a batch a single row or page may be."""
_USUAL_PAGE_BYTES = 8 * 2**20
"""Pages up to this size are not counted: each column has one in memory, and most writers make them of 1 MiB."""
_MOST_ROWS_OF_LISTS = 2**26

_HEADER_BYTES = 256
"""Of a page's header, as a rule; one with statistics also holds the least and the greatest text of the page."""
_LONGER = 16


class TooLargeError(Exception):
    """One row, or one page, is larger than all that a worker may hold.

    Attributes:
        column: Its name in the file.
        size: Its bytes.
        most: How many there may be.
    """

    def __init__(self, column: str, size: int, most: int) -> None:
        super().__init__(column, size, most)
        self.column, self.size, self.most = column, size, most


@dataclass(frozen=True)
class _Load:
    """What the values of one column of a row group take in memory.

    Attributes:
        total: Bytes of all of them, about.
        heaviest: Gives a bound for the bytes of so many neighbouring rows.
        page: A bound for the bytes of the largest page and of the dictionary.
    """

    total: int
    heaviest: Callable[[int], int]
    page: int


def rows_that_fit(
    size: int, most_rows: int, stream: pa.NativeFile, metadata: Any, groups: Sequence[int], names: Sequence[str]
) -> int:
    """Return how many rows of some columns may be decoded at once; at least 1.

    By the mean they take ``size`` bytes, and never more than `_NEIGHBOURS` times that, unless a single row is larger.

    Args:
        size: Bytes.
        most_rows: How many rows may be decoded at once in any case.
        stream: The file.
        metadata: Its footer, from pyarrow.
        groups: The row groups to read.
        names: The columns to read, by their names in the file.

    Raises:
        TooLargeError: A row or a page takes more than `_LARGEST` times ``size``.
        ValueError: A page cannot be read.
    """
    if not groups:
        return 1
    first, wanted = metadata.row_group(groups[0]), set(names)
    paths = (first.column(index).path_in_schema for index in range(first.num_columns))
    columns = [index for index, path in enumerate(paths) if path.partition(".")[0] in wanted or path in wanted]
    for group in groups:
        rows = int(metadata.row_group(group).num_rows)
        chunks = [
            Chunk(stream, metadata.row_group(group).column(at), metadata.schema.column(at), rows) for at in columns
        ]
        most_rows = min(most_rows, _rows_of_group(size, min(rows, most_rows), rows, chunks))
    return most_rows


def stored_bytes(metadata: Any, groups: Sequence[int], names: Collection[str]) -> int:
    """Return the bytes that some columns of a row group take as they are stored; those of the largest.

    Args:
        metadata: The file's footer, from pyarrow.
        groups: The row groups.
        names: The columns, by their names in the file.
    """

    def stored(group: Any) -> int:
        chunks = [group.column(at) for at in range(group.num_columns)]
        paths = [each.path_in_schema for each in chunks]
        wanted = [path in names or path.partition(".")[0] in names for path in paths]
        return sum(chunk.total_compressed_size for chunk, read in zip(chunks, wanted, strict=True) if read)

    return max((stored(metadata.row_group(group)) for group in groups), default=0)


def _rows_of_group(size: int, most_rows: int, all_rows: int, chunks: Sequence[Chunk]) -> int:
    most, near = _LARGEST * max(size, DEFAULT_MAX_BATCH_BYTES), _NEIGHBOURS * size
    share = size // max(1, len(chunks))
    loads = [chunk.by_footer(most_rows, share, most) for chunk in chunks]
    rows = max(1, min(most_rows, size * all_rows // max(1, sum(load.total for load in loads))))
    if sum(load.heaviest(rows) for load in loads) > near or _large_pages(loads) > most:
        for at, chunk in enumerate(chunks):
            if loads[at].heaviest(rows) > near // len(chunks) or loads[at].page > most // len(chunks):
                loads[at] = chunk.by_pages(most)
    while rows > 1 and sum(load.heaviest(rows) for load in loads) > near:
        rows //= 2
    for taken, all_taken in (
        ([load.heaviest(1) for load in loads], sum(load.heaviest(rows) for load in loads)),
        ([load.page for load in loads], _large_pages(loads)),
    ):
        if all_taken > max(near, most):
            largest = taken.index(max(taken))
            raise TooLargeError(chunks[largest].name, taken[largest], most)
    return rows


def _large_pages(loads: Sequence[_Load]) -> int:
    return sum(load.page for load in loads if load.page > _USUAL_PAGE_BYTES)


class Chunk:
    """A column of one row group.

    Args:
        stream: The file.
        chunk: What its footer says about it, from pyarrow.
        leaf: Its part of the schema, from pyarrow.
        rows: How many rows the row group has.
    """

    def __init__(self, stream: pa.NativeFile, chunk: Any, leaf: Any, rows: int) -> None:
        self.name: str = chunk.path_in_schema
        self._stream, self._chunk, self._rows = stream, chunk, rows
        self._deepest = int(leaf.max_repetition_level)
        self._width = _WIDTHS.get(chunk.physical_type) or max(0, int(leaf.length))
        """Bytes of a value; 0 for texts."""
        self._values, self._size = int(chunk.num_values), int(chunk.total_uncompressed_size)
        self._start = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)), default=0)
        self._longest, self._list_bytes = 0, _LENGTH_BYTES * self._deepest

    def by_footer(self, most_rows: int, share: int, most: int) -> _Load:
        """What its footer says, and its dictionary.

        Args:
            most_rows: How many rows are decoded at once at most.
            share: Bytes that are too few to look at a dictionary for.
            most: Bytes that a page may have.
        """
        size, values = self._size, self._values
        if self._width:
            total = max(size, self._width * values)
            lengths = self._list_bytes * values
            return _Load(total, lambda rows: total + lengths if lengths else rows * self._width, size)

        def each(length: int, rest: int) -> Callable[[int], int]:
            return lambda rows: rest + (length + _LENGTH_BYTES + self._list_bytes) * (values if self._deepest else rows)

        # No text is longer than all of them together, as they are stored.
        if size * (values if self._deepest else most_rows) <= share or "DELTA_BYTE_ARRAY" in self._chunk.encodings:
            return _Load(size, each(size, 0), size)
        if (found := self._dictionary()) is None:
            return _Load(size, each(0, size), size)
        if found.size > most:
            raise TooLargeError(self.name, found.size, most)
        self._longest = longest_text(found, self._chunk.compression)
        total = max(size, found.size * values // max(1, found.values))
        return _Load(total, each(self._longest, max(0, size - found.size)), size)

    def _dictionary(self) -> Page | None:
        """The page that a column of texts begins with, if that is its dictionary."""
        ahead = self._chunk.data_page_offset - self._start
        first = self._first_page(ahead or _HEADER_BYTES)
        if first is not None and first.is_dictionary and not ahead:  # a footer that does not say where it stands
            first = next(pages(self._read()), None)
        return first if first is not None and first.is_dictionary else None

    def _first_page(self, count: int) -> Page | None:
        """The first page, by so many bytes of the chunk; by more where its header, which may hold texts, has more."""
        try:
            return next(pages(bytes(self._stream.read_at(count, self._start))), None)
        except ValueError:
            if count >= self._chunk.total_compressed_size:
                raise
        return self._first_page(_LONGER * count)

    def _read(self) -> bytes:
        return bytes(self._stream.read_at(self._chunk.total_compressed_size, self._start))

    def by_pages(self, most: int) -> _Load:
        """What its pages say; reads the whole column once.

        Args:
            most: Bytes that a page may have.
        """
        found = list(pages(self._read()))
        largest = max((page.size for page in found), default=0)
        if largest > most:
            raise TooLargeError(self.name, largest, most)
        data = [page for page in found if not page.is_dictionary]
        dictionary = next((page for page in found if page.is_dictionary), None)
        return _Load(0, self._heaviest(data, dictionary), largest + (dictionary.size if dictionary else 0))

    def _heaviest(self, data: Sequence[Page], dictionary: Page | None) -> Callable[[int], int]:
        each, plain = self._width, np.zeros(len(data), np.int64)
        if not self._width:
            if dictionary:
                each = self._longest or longest_text(dictionary, self._chunk.compression)
            each = max(each, *(page.size for page in data if page.shares_beginnings), 0) + _LENGTH_BYTES
            plain[:] = [0 if page.has_places or page.shares_beginnings else page.size for page in data]
        each += self._list_bytes
        values = np.array([page.values for page in data], np.int64)
        after, largest = np.cumsum(values), int(plain.max(initial=0))
        starts = self._starts(data) if self._deepest else None
        first, last = after - values, after - 1
        if starts is not None:  # the rows that the first and the last value of each page belong to
            first, last = (np.searchsorted(starts, at, side="right") - 1 for at in (first, last))
        bounds = None if starts is None else np.append(starts, after[-1:])
        before = np.append(0, np.cumsum(plain))

        def heaviest(rows: int) -> int:
            if bounds is None:
                elements = rows
            else:
                begins = bounds[:-1:rows]
                elements = int((np.append(begins[1:], bounds[-1:]) - begins).max(initial=0))
            # Rows that are decoded together and lie in two pages have the first row of one.
            begin = np.unique(first // rows) * rows
            reached = before[np.searchsorted(first, begin + rows)] - before[np.searchsorted(last, begin)]
            # The largest page is in memory whatever is decoded of it.
            return each * elements + max(0, int(reached.max(initial=0)) - largest)

        return heaviest

    def _starts(self, data: Sequence[Page]) -> NDArray[np.int64]:
        """Which values are the first of a row."""
        if self._rows > _MOST_ROWS_OF_LISTS:
            raise ValueError("too many rows of lists in one row group")
        starts, before, rows = [np.empty(0, np.int64)], 0, 0
        for page in data:
            found = row_starts(page, self._chunk.compression, self._deepest, self._rows - rows)
            starts.append(found + before)
            before, rows = before + page.values, rows + len(found)
        return np.concatenate(starts)
