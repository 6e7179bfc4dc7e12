"""Table partitions of scored rows: which rows go into which folder, and what the folder is called."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
# What Spark escapes in a folder's name (ExternalCatalogUtils.escapePathName).
_ESCAPED = re.compile(r"[\x01-\x1f\x7f\"#%'*/:=?\\{\[\]^]")
_WRITABLE = ("tinyint", "smallint", "int", "bigint", "string", "date", "boolean")


def writable(type_name: str) -> bool:
    """Whether values of a Spark type have one text, whatever the session's settings are."""
    return type_name in _WRITABLE


def folder_of(values: Mapping[str, str | None]) -> str:
    """The folder of a table partition, as Spark names it; "" for a table without partitions."""
    return "/".join(
        f"{_escape(name)}={NULL_PARTITION if value is None else _escape(value)}" for name, value in values.items()
    )


def split(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[tuple[dict[str, str | None], pa.RecordBatch]]:
    """Split a batch by its partition values; the rows of each part keep their order.

    Yields the values as text and the rows with all columns.
    """
    if not columns:
        yield {}, batch
        return
    encoded = [batch.column(name).dictionary_encode(null_encoding="encode") for name in columns]
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    for one in encoded:
        # Made dense after each column, so that no number of columns overflows.
        codes = np.unique(codes * len(one.dictionary) + one.indices.to_numpy(), return_inverse=True)[1]
    present = np.unique(codes)
    if len(present) == 1:
        yield _values(columns, encoded, 0), batch
        return
    order = np.argsort(codes, kind="stable")
    bounds = [*np.searchsorted(codes[order], present), batch.num_rows]
    for start, stop in itertools.pairwise(bounds):
        yield _values(columns, encoded, int(order[start])), batch.take(pa.array(order[start:stop]))


def _values(columns: Sequence[str], encoded: Sequence[pa.DictionaryArray], row: int) -> dict[str, str | None]:
    return {name: _text(one[row].as_py()) for name, one in zip(columns, encoded, strict=True)}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", text)
