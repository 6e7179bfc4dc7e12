"""Partition values, from the text of a folder's name or of Delta's log to Arrow.

A text is taken only where Spark reads it as the same value: Python's own readers also take ``1_000``, digits of other
scripts and ``20240101``. Spark: Cast from a string, and PartitioningUtils.castPartValueToDesiredType.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
_DECIMAL_TYPE = re.compile(r"decimal\(([0-9]+), ?([0-9]+)\)")
_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(E-?[0-9]+)?|-?Infinity|NaN")
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?(Z?)")


def parsed(text: str | None, type_name: str) -> Any:
    """Return the value of a partition column.

    Args:
        text: The value as it is written; None for null.
        type_name: Spark's short name of the column's type.

    Raises:
        ValueError: The text is not known to be read by Spark as a value of this type. A timestamp without ``Z`` is
            not, because it depends on the session's time zone.
    """
    if text is None or type_name == "string":
        return text
    read = _READERS.get(type_name.partition("(")[0])
    if read is None:
        raise ValueError(f"a partition value of the type {type_name}")
    return read(text, type_name)


def column(value: Any, rows: int, wanted: pa.DataType) -> pa.Array:
    """Return a column that holds one value in every row.

    Raises:
        pyarrow.ArrowInvalid: The type cannot hold it.
    """
    return pa.nulls(rows, wanted) if value is None else pa.repeat(pa.scalar(value, wanted), rows)


def _integer(text: str, type_name: str) -> int:
    number, bits = int(_matched(_INTEGER, text)[0]), _INTEGER_BITS[type_name]
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueError(text)
    return number


def _boolean(text: str, type_name: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _date(text: str, type_name: str) -> date:
    return date.fromisoformat(_matched(_DATE, text)[0])


def _decimal(text: str, type_name: str) -> Decimal:
    """A decimal that the type holds as it is: Spark rounds a longer one, and takes a larger one for null."""
    precision, scale = map(int, _matched(_DECIMAL_TYPE, type_name).groups())
    whole, fraction = _matched(_DECIMAL, text).groups(default="")
    if len(whole.lstrip("0")) > precision - scale or len(fraction) > scale:
        raise ValueError(text)
    return Decimal(text)


def _double(text: str, type_name: str) -> float:
    return float(_matched(_REAL, text)[0])


def _float(text: str, type_name: str) -> float:
    """A single-precision number, where it is the same whether Spark rounds once or by way of a double."""
    double = _double(text, type_name)
    with np.errstate(over="ignore"):
        single = np.float32(double)
        near = [float(np.nextafter(single, np.float32(side))) for side in (-math.inf, math.inf)]
    is_tie = any((float(single) + other) / 2 == double for other in near)
    if math.isfinite(double) and (is_tie or math.isinf(single)):
        raise ValueError(text)
    return float(single)


def _instant(text: str, type_name: str) -> datetime:
    return _time(text, zone="Z")


def _wall_clock(text: str, type_name: str) -> datetime:
    return _time(text, zone="")


def _time(text: str, *, zone: str) -> datetime:
    day, clock, fraction, given = _matched(_TIME, text).groups(default="")
    if given != zone:
        raise ValueError(text)
    return datetime.fromisoformat(f"{day}T{clock}.{fraction:0<6}{'+00:00' if zone else ''}")


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return found


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(_INTEGER_BITS, _integer),
    "boolean": _boolean,
    "date": _date,
    "decimal": _decimal,
    "double": _double,
    "float": _float,
    "timestamp": _instant,
    "timestamp_ntz": _wall_clock,
}
