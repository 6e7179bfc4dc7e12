"""Partition values, from the text of a folder's name or of Delta's log to Arrow."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

_INTEGERS = ("tinyint", "smallint", "int", "bigint")


def readable(type_name: str) -> bool:
    """Whether the text of a partition value says the value, whatever the session's time zone is."""
    return type_name in (*_INTEGERS, "string", "boolean", "date") or type_name.startswith("decimal")


def parsed(text: str | None, type_name: str) -> Any:
    """Return the value of a partition column.

    Raises:
        ValueError: The text is no value of the type.
        decimal.InvalidOperation: The same, for a decimal.
    """
    if text is None:
        return None
    if type_name in _INTEGERS:
        return int(text)
    if type_name == "boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if type_name == "date":
        return date.fromisoformat(text)
    if type_name.startswith("decimal"):
        return Decimal(text)
    return text


def column(value: Any, rows: int, wanted: pa.DataType) -> pa.Array:
    """Return a column that holds one value in every row.

    Raises:
        pyarrow.ArrowInvalid: The type cannot hold it.
    """
    return pa.nulls(rows, wanted) if value is None else pa.repeat(pa.scalar(value, wanted), rows)
