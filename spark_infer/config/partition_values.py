"""Values of table partitions as plain text, whole numbers and truth values, whatever Python type they come in."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from spark_infer.config.params import plain_params


def listed_values(given: Any) -> Any:
    """Return lists of plain values for a mapping of columns to one value or several.

    A date is the text that Spark writes for it, ``2024-01-31``; a time at midnight without a zone is that of its day,
    as pandas and numpy have no type for dates alone.

    Raises:
        ValueError: A value is of another kind.
    """
    if not isinstance(given, Mapping):
        return given
    plain = plain_params({name: _listed(value) for name, value in given.items()})
    return {name: tuple(_text(name, value) for value in values) for name, values in plain.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple | range):
        return [_as_param(each) for each in value]
    several = getattr(value, "ndim", 0) > 0 and hasattr(value, "tolist")
    return value if several else [_as_param(value)]


def _as_param(value: Any) -> Any:
    """Decimals are no inference parameters, and their text is what a table partition is named by."""
    return format(value, "f") if isinstance(value, Decimal) else value


def _text(name: object, value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value == value:  # pandas has a time that is none
        midnight = value.time() == datetime.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"{name}: {type(value).__name__} is not text, a whole number, a date, true, false or null")


def partitions_named(values: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Say which table partitions are meant, a condition for each column."""
    return tuple(f"{column} in {list(each)}" for column, each in values.items())
