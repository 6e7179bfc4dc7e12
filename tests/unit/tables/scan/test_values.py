"""Partition values: taken where Spark reads the same from the text, refused where Python's own readers take more."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.tables.scan.values import parsed


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("int", "-007", -7),
        ("tinyint", "+127", 127),
        ("bigint", "9223372036854775807", 2**63 - 1),
        ("string", "1_000", "1_000"),
        ("int", None, None),
        ("boolean", "TRUE", True),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("decimal(5,2)", "-1.5", Decimal("-1.5")),
        ("decimal(5, 2)", "000123.45", Decimal("123.45")),
        ("double", "1.0E10", 1e10),
        ("double", "-Infinity", -math.inf),
        ("float", "0.1", struct.unpack("f", struct.pack("f", 0.1))[0]),
        ("timestamp_ntz", "2024-01-02 03:04:05.6", datetime(2024, 1, 2, 3, 4, 5, 600_000)),
        ("timestamp", "2024-01-02T03:04:05.000006Z", datetime(2024, 1, 2, 3, 4, 5, 6, timezone.utc)),
    ],
)
def test_a_text_that_spark_writes_is_its_value(type_name: str, text: str | None, value: Any) -> None:
    found = parsed(text, type_name)
    assert (found, type(found)) == (value, type(value))


def test_zero_keeps_its_sign_and_nan_is_nan() -> None:
    assert math.copysign(1, parsed("-0.0", "double")) == math.copysign(1, parsed("-0.0", "float")) == -1
    assert math.isnan(parsed("NaN", "float"))


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("int", "1_000"),
        ("int", "\N{ARABIC-INDIC DIGIT ONE}2"),
        ("int", " 1"),
        ("int", "1.0"),
        ("int", ""),
        ("int", "2147483648"),
        ("tinyint", "128"),
        ("date", "20240101"),
        ("date", "2024-W01-1"),
        ("date", "2024-1-1"),
        ("date", "2023-02-29"),
        ("boolean", "1"),
        ("decimal(5,2)", "1_0"),
        ("decimal(5,2)", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("decimal(5,2)", "NaN"),
        ("decimal(5,2)", "1E2"),
        ("decimal(5,2)", "1.555"),
        ("decimal(5,2)", "1234.5"),
        ("double", "1_0.0"),
        ("double", "nan"),
        ("double", "\N{ARABIC-INDIC DIGIT ONE}.5"),
        ("float", "3.5E38"),
        ("float", "16777217"),
        ("timestamp_ntz", "2024-01-02"),
        ("timestamp_ntz", "2024-01-02 03:04:05Z"),
        ("timestamp_ntz", "2024-01-02 24:00:00"),
        ("timestamp_ntz", "2024-01-02 03:04:05.1234567"),
        ("timestamp", "2024-01-02 03:04:05"),
        ("binary", "a"),
    ],
)
def test_a_text_that_spark_may_read_otherwise_is_refused(type_name: str, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the caller says which column it was
        parsed(text, type_name)


@given(st.floats(width=32, allow_nan=False))
def test_every_single_precision_number_comes_back_from_its_shortest_text(number: float) -> None:
    text = str(np.float32(number)).replace("inf", "Infinity").replace("e+", "E").replace("e", "E")
    assert parsed(text, "float") == number
