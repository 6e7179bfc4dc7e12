"""Values of table partitions as plain text, whole numbers and truth values, whatever Python type they come in."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from spark_infer.config.params import plain_param
from spark_infer.printable import kind_in_words


def listed(given: Any) -> Any:
    """Return one value or several as a tuple."""
    if isinstance(given, list | tuple | range):
        return tuple(given)
    several = getattr(given, "ndim", 0) > 0 and hasattr(given, "tolist")
    return tuple(plain_param(given)) if several else (given,)


def partition_value(given: Any) -> Any:
    """Return a value as a plain one.

    A date is the text that Spark writes for it, ``2024-01-31``; a time at midnight without a zone is that of its day,
    as pandas and numpy have no type for dates alone. A decimal is the text that a table partition is named by.

    Raises:
        ValueError: It is of another kind.
    """
    value = format(given, "f") if isinstance(given, Decimal) else plain_param(given)
    if isinstance(value, datetime.datetime) and value == value:  # pandas has a time that is none
        midnight = value.time() == datetime.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"expected text, a whole number, a date, true, false or null, got {kind_in_words(value)}")


def partitions_named(values: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Say which table partitions are meant, a condition for each column."""
    return tuple(f"{column} in {list(each)}" for column, each in values.items())
