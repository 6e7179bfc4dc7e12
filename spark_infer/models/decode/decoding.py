"""The step that decodes a column of encoded files into a column of numbers; all rows that cannot are named at once."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from spark_infer.config.decode import AudioDecoding, DecodeOptions, ImageDecoding
from spark_infer.config.secrets import without_partition_values
from spark_infer.core.signature import spelled
from spark_infer.core.steps import Step
from spark_infer.errors import EnvironmentProblem, SchemaMismatchError, UndecodableError, install_extra, nearest
from spark_infer.models.decode.encoded import Contents, UndecodableFileError, contents_of

NAMES = "path"
"""The column, of text, that says of which file the bytes in a row are: Spark's `binaryFile` calls it so."""

_EXTRAS = {"image": "images", "audio": "audio"}


class Rows(Protocol):
    """Takes the decoded rows of one batch, one after the other."""

    def add(self, content: bytes) -> None:
        """Decode one file into the next row.

        Raises:
            UndecodableFileError: It is not what it should be, with the reason.
            Exception: The library cannot decode it.
        """

    def skip(self) -> None:
        """Leave the next row empty."""

    def column(self) -> pa.Array:
        """Return the column."""


def decoded_schema(table: pa.Schema, options: DecodeOptions) -> pa.Schema:
    """Return the columns after decoding: the numbers in their place, or behind the others.

    Raises:
        SchemaMismatchError: The table has no such column of bytes or of paths, or one named as the output.
        EnvironmentProblem: The library that decodes is not installed here.
    """
    how = options.how
    problems = list(_problems(table, how))
    if problems:
        raise SchemaMismatchError(
            "`decode` does not fit the table.",
            problems=problems,
            next_step="name a binary column with `column`, or a column of paths and the folder that they lie below "
            "with `root`.",
        )
    empty = pa.RecordBatch.from_pylist([], schema=table)
    return with_column(empty, how, _rows(how, 0).column()).schema


def columns_read(table: pa.Schema, options: DecodeOptions) -> tuple[str, ...]:
    """Return the columns of a table that decoding reads: the encoded ones, and the names of the files."""
    how = options.how
    return (how.column, NAMES) if _has_names(table, how) else (how.column,)


def compile_decode(options: DecodeOptions) -> Step:
    """Return what decodes a batch."""
    how = options.how

    def decode(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = _rows(how, batch.num_rows)
        reasons = dict(_failed(rows, contents_of(batch.column(how.column), how)))
        if reasons:
            raise _undecodable(batch, how, reasons)
        return with_column(batch, how, rows.column())

    return decode


def with_column(batch: pa.RecordBatch, how: ImageDecoding | AudioDecoding, decoded: pa.Array) -> pa.RecordBatch:
    """Put the numbers in the place of the encoded column, or behind the others."""
    if how.output is None:
        return batch.set_column(batch.schema.get_field_index(how.column), how.column, decoded)
    return batch.append_column(how.output, decoded)


def _failed(rows: Rows, contents: Contents) -> Iterator[tuple[int, tuple[str, str]]]:
    for number, content in enumerate(contents):
        if isinstance(content, bytes):
            try:
                rows.add(content)
                continue
            except (MemoryError, ImportError):
                raise
            except Exception as error:  # decoders raise whatever a damaged file leads them to
                known = isinstance(error, UndecodableFileError)
                reason = UndecodableFileError.__name__, str(error) if known else _NOT_DECODED
        else:
            reason = content
        rows.skip()
        yield number, reason


_NOT_DECODED = "it is damaged, or of a format that is not known here"


def _undecodable(
    batch: pa.RecordBatch, how: ImageDecoding | AudioDecoding, reasons: dict[int, tuple[str, str]]
) -> UndecodableError:
    named = how.column if how.root is not None else NAMES if _has_names(batch.schema, how) else None

    def name(row: int) -> str:
        found = None if named is None else batch.column(named)[row].as_py()
        return "a row" if found is None else without_partition_values(str(found))

    return UndecodableError.of_rows(
        {row: (kind, f"{name(row)} cannot be decoded: {why}") for row, (kind, why) in reasons.items()}, batch.num_rows
    )


def _has_names(table: pa.Schema, how: ImageDecoding | AudioDecoding) -> bool:
    is_there = how.root is None and table.names.count(NAMES) == 1
    return is_there and pa.types.is_string(table.field(NAMES).type)


def _problems(table: pa.Schema, how: ImageDecoding | AudioDecoding) -> Iterator[str]:
    if table.names.count(how.column) != 1:
        yield f"column {how.column!r} is missing, or stands there twice{nearest(how.column, table.names)}"
        return
    kind = table.field(how.column).type
    wanted = "binary" if how.root is None else "string"
    if not (pa.types.is_binary(kind) if how.root is None else pa.types.is_string(kind)):
        yield f"column {how.column!r} is {spelled(kind)}, and should be {wanted}"
    if how.output is not None and how.output in table.names:
        yield f"`output` is {how.output!r}, which is the name of a column of the table"


def _rows(how: ImageDecoding | AudioDecoding, count: int) -> Rows:
    kind = "image" if isinstance(how, ImageDecoding) else "audio"
    try:
        rows: Rows = importlib.import_module(f"spark_infer.models.decode.{kind}").DecodedRows(how, count)
    except ImportError as error:
        raise EnvironmentProblem(
            f"`decode` needs {error.name or kind}, which is not installed here.",
            next_step=f"{install_extra(_EXTRAS[kind])}.",
        ) from error
    return rows
