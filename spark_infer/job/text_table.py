"""Rows of a table as text for a terminal: side by side where they fit, else one below the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from spark_infer.printable import printable

_MOST_LETTERS = 40
_GAP = 2


def text_table(rows: pa.Table, width: int) -> Iterator[str]:
    """Write rows as lines of text; what a terminal would obey is escaped, long values are cut.

    Args:
        rows: The rows.
        width: Letters of a line; where a row takes more, each value gets a line of its own.
    """
    names = [_cut(printable(name)) for name in rows.column_names]
    columns = [[_shown(value) for value in column.to_pylist()] for column in rows.columns]
    widths = [max(map(len, [name, *values])) for name, values in zip(names, columns, strict=True)]
    if sum(widths) + _GAP * len(widths) <= width:
        right = [_is_number(kind) for kind in rows.schema.types]
        yield _line(names, widths, right)
        yield from (_line(values, widths, right) for values in zip(*columns, strict=True))
        return
    widest = max(map(len, names), default=0)
    for number, values in enumerate(zip(*columns, strict=True), 1):
        yield f"row {number}"
        yield from (f"  {name:<{widest}}  {value}" for name, value in zip(names, values, strict=True))


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    )
    return (" " * _GAP + (" " * _GAP).join(padded)).rstrip()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    return _cut(printable(str(value)))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"
