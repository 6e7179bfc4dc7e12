"""What a model returned and the user declared as string has the text of Python's `str`, on every path to a column."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.outputs import to_array
from spark_infer.errors import PredictionShapeError

NUMBERS = [0.0, -0.0, 1.0, 0.1, 1e16, 1e22, 1e-5, 5e-324, 123456789.125, float("inf"), float("-inf")]
TEXTS = ["0.0", "-0.0", "1.0", "0.1", "1e+16", "1e+22", "1e-05", "5e-324", "123456789.125", "inf", "-inf"]
MIDNIGHT = ["2024-01-01 00:00:00"]


def texts(values: Any, wanted: pa.DataType | None = None) -> list[Any]:
    found: list[Any] = to_array(values, "p", wanted or pa.string(), len(values)).to_pylist()
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array(NUMBERS), TEXTS),
        (NUMBERS, TEXTS),
        (np.array(NUMBERS, object), TEXTS),
        (pa.array(NUMBERS), TEXTS),
        (np.array([0.1, 0.5], np.float32), ["0.10000000149011612", "0.5"]),
        (pa.array([0.1, 0.5], pa.float32()), ["0.10000000149011612", "0.5"]),
        ([np.float32(0.1), np.float64(1), np.int8(1), np.bool_(True)], ["0.10000000149011612", "1.0", "1", "True"]),
        (np.array([1.5], np.float16), ["1.5"]),
        (np.array([2**64 - 1], np.uint64), ["18446744073709551615"]),
        (np.array([True, False]), ["True", "False"]),
        (pa.array([True, None]), ["True", None]),
        ([1, 2.5, True, "a", None], ["1", "2.5", "True", "a", None]),
        (np.array([1.0, np.nan]), ["1.0", None]),
        ([float("nan"), pd.NA, pd.NaT, None, "nan"], [None, None, None, None, "nan"]),
        (np.ma.masked_array([1.0, 2.0], [False, True]), ["1.0", None]),
        (np.array([[1.0], [2.0]]), ["1.0", "2.0"]),
        ([Decimal("1.50"), Decimal("1E-7")], ["1.50", "1E-7"]),
        ([datetime(2024, 1, 1), datetime(2024, 1, 1, 2, 3, 4, 5)], [*MIDNIGHT, "2024-01-01 02:03:04.000005"]),
        ([datetime(2024, 1, 1, tzinfo=timezone.utc), date(2024, 1, 1)], ["2024-01-01 00:00:00+00:00", "2024-01-01"]),
        (np.array(["2024-01-01"], "datetime64[ns]"), MIDNIGHT),
        ([np.datetime64("2024-01-01T01", "ns"), timedelta(1)], ["2024-01-01 01:00:00", "1 day, 0:00:00"]),
        (pa.array(pd.Series([1.0, None], dtype="Float64"), from_pandas=True), ["1.0", None]),
        (pa.array([1.0, None]).dictionary_encode(), ["1.0", None]),
    ],
)  # fmt: skip
def test_a_value_has_the_text_of_str(values: Any, expected: list[str | None]) -> None:
    assert texts(values) == expected


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        (np.array([[1.0, np.nan]]), pa.list_(pa.string()), [["1.0", None]]),
        (pa.array([[1.0, None], None]), pa.list_(pa.string()), [["1.0", None], None]),
        ([[1, 2.5], ["a", True, None], None], pa.list_(pa.string()), [["1", "2.5"], ["a", "True", None], None]),
        ([np.array([1.0]), (2,)], pa.list_(pa.string()), [["1.0"], ["2"]]),
        (np.array([["a", 1.0]], object), pa.list_(pa.string()), [["a", "1.0"]]),
        (np.ones((1, 1, 1)), pa.list_(pa.list_(pa.string())), [[["1.0"]]]),
        (
            [{"a": 1, "n": 1}, {"a": 2.5, "n": None}, None],
            pa.struct([("a", pa.string()), ("n", pa.int64())]),
            [{"a": "1", "n": 1}, {"a": "2.5", "n": None}, None],
        ),
        ([{"a": [True]}], pa.struct([("a", pa.list_(pa.string()))]), [{"a": ["True"]}]),
        (pa.array([{"a": 1.0}]), pa.struct([("a", pa.string())]), [{"a": "1.0"}]),
        ([[{"a": 1.0}]], pa.list_(pa.struct([("a", pa.string())])), [[{"a": "1.0"}]]),
        ([{1: 1.0}, {}], pa.map_(pa.string(), pa.string()), [[("1", "1.0")], []]),
        ([{"x": [1.0]}], pa.map_(pa.string(), pa.list_(pa.string())), [[("x", ["1.0"])]]),
    ],
)
def test_what_is_inside_has_the_text_of_str_too(values: Any, wanted: pa.DataType, expected: list[Any]) -> None:
    assert texts(values, wanted) == expected


@given(st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)), min_size=1))
def test_the_text_of_a_value_does_not_depend_on_the_others(values: list[Any]) -> None:
    alone = [texts([value])[0] for value in values]
    assert texts(values) == alone
    assert texts([values], pa.list_(pa.string())) == [alone]
    assert alone == [None if value is None or value != value else str(value) for value in values]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8", "bool", "datetime64[ns]"])
def test_a_column_has_the_texts_of_spark_udf(dtype: str) -> None:
    values = np.array([0, 1, 100], "int64").astype(dtype)
    assert texts(values) == pd.DataFrame(values).map(str)[0].tolist()  # as mlflow.pyfunc.spark_udf does it


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [{"a": 1}], np.ones((1, 2)), [b"\xff"]])
def test_what_is_nested_or_bytes_has_no_text(values: Any) -> None:
    with pytest.raises(PredictionShapeError, match="'p'"):
        texts(values)
