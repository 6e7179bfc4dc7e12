"""How many rows of a Parquet file fit into a batch: values that repeat are small in a file and not in memory.

https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (PageHeader)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from spark_infer.config import DEFAULT_BATCH_SIZE
from spark_infer.tables.scan.thrift import STRUCT, Reader

_WIDTHS = {"INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a value in memory."""

_ROWS_OF_EQUAL_BEGINNINGS = 1_000
"""Most rows of texts that are stored without what they share with the text before, whose length nothing tells."""

_HEADER_BYTES = 256
_SIZE, _DICTIONARY, _VALUES = 2, 7, 1
"""Numbers of the fields: the page's bytes, the header of a dictionary page, and how many values it has."""


def rows_that_fit(size: int, stream: pa.NativeFile, metadata: Any, groups: Sequence[int], names: Sequence[str]) -> int:
    """Return about how many rows of some columns fit into so many bytes once they are in memory; at least 1.

    A text of megabytes may stand in a file once and in every row: its dictionary says how large its values are.

    Args:
        size: Bytes.
        stream: The file.
        metadata: Its footer, from pyarrow.
        groups: The row groups to read.
        names: The columns to read, by their names in the file.
    """
    if not groups:
        return 1
    first, wanted = metadata.row_group(groups[0]), set(names)
    paths = (first.column(index).path_in_schema for index in range(first.num_columns))
    columns = [index for index, path in enumerate(paths) if path.partition(".")[0] in wanted or path in wanted]
    return min(_rows_of_group(size, stream, metadata.row_group(group), columns) for group in groups)


def _rows_of_group(size: int, stream: pa.NativeFile, group: Any, columns: Sequence[int]) -> int:
    total, most = 0, int(group.num_rows)
    for chunk in map(group.column, columns):
        # Values that repeat lie in a file as places in a dictionary, and in memory as they are.
        if (width := _WIDTHS.get(chunk.physical_type)) is not None:
            total += max(chunk.total_uncompressed_size, width * chunk.num_values)
            continue
        if chunk.has_dictionary_page:
            most = min(most, DEFAULT_BATCH_SIZE)
        if "DELTA_BYTE_ARRAY" in chunk.encodings:
            most = min(most, _ROWS_OF_EQUAL_BEGINNINGS)
        may_be_large = chunk.total_uncompressed_size * DEFAULT_BATCH_SIZE > size // len(columns)
        total += _in_memory(stream, chunk) if may_be_large else chunk.total_uncompressed_size
    return max(1, min(most, int(size * group.num_rows // max(1, total))))


def _in_memory(stream: pa.NativeFile, chunk: Any) -> int:
    """About how many bytes the values of a text column take once each row has its own.

    Reads the header of the dictionary's page; one that cannot be read, or is none, leaves the bytes in the file.

    Args:
        stream: The file.
        chunk: The column in one row group, from pyarrow's metadata.
    """
    in_file = int(chunk.total_uncompressed_size)
    if not chunk.has_dictionary_page or chunk.dictionary_page_offset is None:
        return in_file
    header = Reader(bytes(stream.read_at(_HEADER_BYTES, chunk.dictionary_page_offset)))
    try:
        fields = header.value(STRUCT)
        size, values = fields[_SIZE], fields[_DICTIONARY][_VALUES]
    except (KeyError, TypeError, ValueError):
        return in_file
    return max(in_file, int(size) * int(chunk.num_values) // max(1, int(values)))
