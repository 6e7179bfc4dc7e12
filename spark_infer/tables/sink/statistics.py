"""Statistics of a Parquet file as Delta's log keeps them, taken from the file's own footer.

Only those that readers can rely on: none of floating-point columns, since Arrow leaves NaN out of a column's bounds and
Spark sorts it above all numbers; none of times and decimals, which JSON would round; none of long texts.
Format: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

_INDEXED_COLUMNS = 32
_LONGEST_TEXT = 32


def may_hold_nan(kind: pa.DataType) -> bool:
    """Whether a column may hold a NaN, at any depth."""
    return bool(pa.types.is_floating(kind) or pa.types.is_nested(kind))


def statistics(footer: pq.FileMetaData) -> dict[str, dict[str, Any]]:
    """Return the null counts and bounds of a file's first columns, of those whose footer tells."""
    found: dict[str, dict[str, Any]] = {"minValues": {}, "maxValues": {}, "nullCount": {}}
    for index in range(min(footer.num_columns, _INDEXED_COLUMNS)):
        name = footer.schema.column(index).path
        if footer.schema.column(index).max_repetition_level or name != footer.schema.column(index).name:
            continue  # nested
        parts = [footer.row_group(group).column(index).statistics for group in range(footer.num_row_groups)]
        if not parts or not all(part is not None and part.has_null_count for part in parts):
            continue
        found["nullCount"][name] = sum(part.null_count for part in parts)
        bounded = [part for part in parts if part.has_min_max]
        filled = [part for part in parts if part.num_values]
        if not bounded or len(bounded) < len(filled):
            continue
        try:
            low, high = _plain(min(part.min for part in bounded)), _plain(max(part.max for part in bounded))
        # Dates that Python does not know, texts that are no UTF-8, and decimals stored as whole numbers in pyarrow 19.
        except (ValueError, OverflowError, pa.ArrowNotImplementedError):
            continue
        if low is not None and high is not None:
            found["minValues"][name], found["maxValues"][name] = low, high
    return found


def _plain(value: Any) -> Any:
    """The value as JSON has it; None where JSON would not hold it exactly."""
    if isinstance(value, (bool, datetime)):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else None
    return value.isoformat() if isinstance(value, date) else None
