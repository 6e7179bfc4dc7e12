"""Read the footer of a Parquet file once, for pyarrow and for its schema.

https://parquet.apache.org/docs/file-format/, https://parquet.apache.org/docs/file-format/data-pages/encryption/
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from spark_infer.tables.scan.parquet_schema import Node, SchemaReader
from spark_infer.tables.scan.thrift import STRUCT, Reader

_MAGIC, _ENCRYPTED_MAGIC = b"PAR1", b"PARE"
_END_BYTES = 8
"""The length of the footer and the magic word."""
_READ_AT_FIRST = 64 * 2**10
_ARROW_SCHEMA, _UNREAD = b"\x18\x0cARROW:schema", b"\x18\x0carrow:unread"
"""The key of the schema in which Arrow wrote a file, with its length before it; a key that no reader asks for."""
_SIGNATURE_BYTES = 28
"""Behind a footer that can be read while columns are encrypted: a nonce and a tag."""

READING: dict[str, Any] = {
    "pre_buffer": True,
    "coerce_int96_timestamp_unit": "us",
}
"""How files are opened."""
if "arrow_extensions_enabled" in signature(pq.ParquetFile).parameters:
    READING["arrow_extensions_enabled"] = False  # as in pyarrow below 21, which has no such types


class NotParquetError(ValueError):
    """The file has no footer of a Parquet file."""


@dataclass(frozen=True)
class RawFooter:
    """A footer.

    Attributes:
        data: Its bytes; none where it is encrypted.
        columns: The columns of the file; empty where they cannot be read.
        is_encrypted: Whether it is encrypted.
    """

    data: bytes
    columns: tuple[Node, ...] = ()
    is_encrypted: bool = False

    @cached_property
    def metadata(self) -> pq.FileMetaData:
        """What pyarrow makes of it.

        A list of fixed size is read as a list, as Spark reads it: pyarrow cannot read one with nulls as what it is,
        https://github.com/apache/arrow/issues/35692.

        Raises:
            pyarrow.ArrowException: pyarrow cannot read it.
            OSError: The same.
        """
        found = _metadata(self.data)
        nested = any(column.children for column in self.columns)
        if nested and any(map(_has_fixed_lists, found.schema.to_arrow_schema().types)):
            # The keys stand behind names and statistics of columns, which may have the same text.
            before, key, behind = self.data.rpartition(_ARROW_SCHEMA)
            return _metadata(before + _UNREAD + behind) if key else found
        return found

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns as pyarrow reads them from the file.

        Raises:
            pyarrow.ArrowException: pyarrow cannot read one of them.
        """
        return pq.ParquetFile(pa.BufferReader(b""), metadata=self.metadata, **READING).schema_arrow

    @property
    def is_whole(self) -> bool:
        """Whether its bytes are a struct, which somebody may be able to read."""
        try:
            Reader(self.data).value(STRUCT)
        except ValueError:
            return False
        return bool(self.columns)

    @property
    def group_rows(self) -> tuple[int, ...]:
        """The rows of each row group."""
        return tuple(self.metadata.row_group(number).num_rows for number in range(self.metadata.num_row_groups))

    @property
    def rows(self) -> int | None:
        """The rows of all row groups, which readers go by; None where pyarrow cannot read the footer."""
        try:
            return sum(self.group_rows) if self.data else None
        except (pa.ArrowException, OSError):
            return None

    @property
    def miscount(self) -> str:
        """How its counts of rows contradict each other; empty where they agree.

        Readers go by the counts of row groups, so that rows would be lost without a word. Of each group one column that
        has a value for each row is looked at: to look at all of them takes long where there are thousands.

        Raises:
            pyarrow.ArrowException: pyarrow cannot read the footer.
        """
        found, groups = self.metadata, self.group_rows
        if found.num_rows != sum(groups) or min(groups, default=0) < 0:
            return f"its footer counts {found.num_rows:,} rows, and its row groups {sum(groups):,}"
        flat = next((at for at in range(found.num_columns) if not found.schema.column(at).max_repetition_level), None)
        for number, rows in enumerate(groups if flat is not None else ()):
            values = found.row_group(number).column(flat).num_values
            if values != rows:
                return f"its footer counts {rows:,} rows in row group {number}, and {values:,} values in a column of it"
        return ""

    @property
    def is_signed(self) -> bool:
        """Whether columns may be encrypted: pyarrow ends the process when it meets a chunk of such a column."""
        return bool(len(self.data) == self.metadata.serialized_size + _SIGNATURE_BYTES)


def _metadata(footer: bytes) -> pq.FileMetaData:
    end = len(footer).to_bytes(4, "little") + _MAGIC
    return pq.read_metadata(pa.BufferReader(_MAGIC + footer + end))


def _has_fixed_lists(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_fixed_lists(kind.storage_type)
    inner = (kind.field(number).type for number in range(kind.num_fields))
    return pa.types.is_fixed_size_list(kind) or any(map(_has_fixed_lists, inner))


def read_footer(stream: pa.NativeFile, schemas: SchemaReader) -> RawFooter:
    """Read the footer of a file.

    Args:
        stream: The file.
        schemas: Reads the schema.

    Raises:
        NotParquetError: There is none.
    """
    size = stream.size()
    if size < len(_MAGIC) + _END_BYTES:
        raise NotParquetError("the file is too small")
    tail = stream.read_at(min(size, _READ_AT_FIRST), max(0, size - _READ_AT_FIRST))
    if tail[-4:] == _ENCRYPTED_MAGIC:
        return RawFooter(b"", is_encrypted=True)
    length = int.from_bytes(tail[-_END_BYTES:-4], "little")
    if tail[-4:] != _MAGIC or length > size - len(_MAGIC) - _END_BYTES:
        raise NotParquetError("there is no footer at its end")
    if length > len(tail) - _END_BYTES:
        data = stream.read_at(length, size - _END_BYTES - length)
    else:
        data = tail[len(tail) - _END_BYTES - length : len(tail) - _END_BYTES]
    try:
        return RawFooter(data, schemas.read(data))
    except ValueError:
        return RawFooter(data)
