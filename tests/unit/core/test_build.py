"""Whatever form a model gives to the value of a row, it is read alone: the other rows of its batch change nothing."""

from __future__ import annotations

import dataclasses
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
import torch

from spark_infer.core.outputs import to_array
from spark_infer.core.pylist import to_pylist
from spark_infer.errors import PredictionShapeError

DOUBLE, LONG, TEXT = pa.float64(), pa.int64(), pa.string()
DOUBLES, TEXTS = pa.list_(DOUBLE), pa.list_(TEXT)
MAP = pa.map_(TEXT, LONG)
PLACE = pa.struct([("y", DOUBLE), ("x", DOUBLE)])
DEEP = pa.struct([("n", LONG), ("words", TEXTS), ("counts", MAP), ("places", pa.list_(PLACE))])


class Named(NamedTuple):
    x: float
    y: float


@dataclasses.dataclass
class Data:
    x: float
    y: float


class Checked(pydantic.BaseModel):
    x: float
    y: float


def value(row: Any, wanted: pa.DataType, beside: tuple[Any, ...] = ()) -> Any:
    """What becomes of a row's value, alone and among others."""
    rows = [row, *beside]
    array = to_array(rows, "p", wanted, len(rows))
    assert array.type == wanted
    return to_pylist(array)[0]


AT = {"y": 2.0, "x": 1.0}
FULL = {"n": np.array([7]), "words": ("a", None), "counts": {"k": 1}, "places": [Named(1.0, 2.0), None, AT]}
READ: list[tuple[Any, pa.DataType, Any]] = [
    (np.array([1.5]), DOUBLE, 1.5),
    (np.array(1.5), DOUBLE, 1.5),
    (np.array([[1.5]]), DOUBLE, 1.5),
    ([2], LONG, 2),
    ((2,), LONG, 2),
    ([None], LONG, None),
    ([float("nan")], LONG, None),
    (["ab"], TEXT, "ab"),
    (np.array([1.0]), TEXT, "1.0"),
    ((1.0, 2.0), DOUBLES, [1.0, 2.0]),
    (pd.Series([1.0, 2.0], [7, 3]), DOUBLES, [1.0, 2.0]),
    (1.5, DOUBLES, [1.5]),
    ("ab", TEXTS, ["ab"]),
    (float("nan"), DOUBLES, None),
    (np.float32("nan"), DOUBLES, None),
    (pd.NA, DOUBLES, None),
    ([float("nan"), 1.0], pa.list_(LONG), [None, 1]),
    (float("nan"), PLACE, None),
    (pd.NaT, MAP, None),
    ([[1.0], float("nan"), None], pa.list_(DOUBLES), [[1.0], None, None]),
    ({"k": 1}, MAP, {"k": 1}),
    ([("k", 1)], MAP, {"k": 1}),
    ({"k": [1.0]}, pa.map_(TEXT, DOUBLES), {"k": [1.0]}),
    (AT, PLACE, AT),
    ((2.0, 1.0), PLACE, AT),
    (Named(1.0, 2.0), PLACE, AT),
    (Data(1.0, 2.0), PLACE, AT),
    (Checked(x=1.0, y=2.0), PLACE, AT),
    ({"x": np.array([1.0]), "y": np.array(2.0)}, PLACE, AT),
    (FULL, DEEP, {"n": 7, "words": ["a", None], "counts": {"k": 1}, "places": [AT, None, AT]}),
    ({"scores": {0: 0.5}}, pa.struct([("scores", pa.struct([("0", DOUBLE)]))]), {"scores": {"0": 0.5}}),
]


@pytest.mark.parametrize(("row", "wanted", "expected"), READ, ids=lambda each: str(each)[:40])
def test_a_value_is_read_whatever_form_it_has(row: Any, wanted: pa.DataType, expected: Any) -> None:
    assert value(row, wanted) == expected
    others = [other for other, declared, _ in READ if declared == wanted]
    assert value(row, wanted, (None, *others)) == expected


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ([1.0, 2.0], DOUBLE),
        ([], DOUBLE),
        (np.array([1.0, 2.0]), DOUBLE),
        (np.array([]), DOUBLE),
        ([[1.0, 2.0]], DOUBLE),
        ({"x": 1.0}, DOUBLE),
        ({"x": 1.0}, DOUBLES),
        (["ab"], pa.list_(TEXTS)),
        ([["ab"], "cd"], pa.list_(TEXTS)),
        ([1.5], LONG),
        ([1.0, 2.0], PLACE),
        ((1.0, 2.0, 3.0), PLACE),
        (1.0, PLACE),
        ("ab", MAP),
        ([1.0], MAP),
        ({"k": 1.5}, MAP),
        ({"x": [1.0, 2.0], "y": 1.0}, PLACE),
    ],
    ids=str,
)
def test_a_value_of_another_shape_is_an_error(row: Any, wanted: pa.DataType) -> None:
    for rows in ([row], [None, row]):
        with pytest.raises(PredictionShapeError, match="'p'"):
            to_array(rows, "p", wanted, len(rows))


MASKED = np.ma.masked_array([1.0, 2.0], [False, True])
NANOSECOND = pd.Timestamp("2024-01-01") + pd.Timedelta(1, "ns")
NOON, DAY = datetime(2024, 1, 1, 12), date(2024, 1, 1)
BIG = 2**53 + 1


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        ([MASKED], DOUBLES, [[1.0, None]]),
        ([MASKED, np.array([3.0])], pa.list_(pa.float32()), [[1.0, None], [3.0]]),
        ([MASKED.astype(int)], pa.list_(LONG), [[1, None]]),
        ([[MASKED], [MASKED]], pa.list_(DOUBLES), [[[1.0, None]]] * 2),
        ([{"n": 1, "words": np.ma.masked_array(["a", "b"], [True, False])}], DEEP, None),
        ([1.0, np.ma.masked], DOUBLE, [1.0, None]),
        ([1, np.ma.masked], LONG, [1, None]),
        (["a", np.ma.masked], TEXT, ["a", None]),
        (np.ma.masked_array(["a", "b"], [False, True]), TEXT, ["a", None]),
        (np.ma.masked_array([1.0, 2.0], [False, True], dtype=object), DOUBLE, [1.0, None]),
        ([np.ma.masked_array(["a", "b"], [False, True])], TEXTS, [["a", None]]),
    ],
)
def test_what_is_masked_is_null(values: Any, wanted: pa.DataType, expected: list[Any] | None) -> None:
    found = to_array(values, "p", wanted, len(values)).to_pylist()
    assert (found == expected) if expected else found[0]["words"] == [None, "b"]


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        ([DAY, NOON], pa.timestamp("us"), [datetime(2024, 1, 1), NOON]),
        ([NOON, DAY], pa.timestamp("us"), [NOON, datetime(2024, 1, 1)]),
        ([DAY, datetime(2024, 1, 2)], pa.date32(), [DAY, date(2024, 1, 2)]),
        ([[DAY, NOON]], pa.list_(pa.timestamp("us")), [[datetime(2024, 1, 1), NOON]]),
        ([pd.array([BIG, None], "Int64")], pa.list_(LONG), [[BIG, None]]),
        ([pa.array([BIG, None])], pa.list_(LONG), [[BIG, None]]),
        ([np.uint64(2**53)], DOUBLE, [2.0**53]),
        ([np.uint64(2**64 - 1)], TEXT, [str(2**64 - 1)]),
    ],
)
def test_a_value_is_kept_whole(values: Any, wanted: pa.DataType, expected: list[Any]) -> None:
    assert to_array(values, "p", wanted, len(values)).to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        *((values, DOUBLE) for values in (np.array([2**64 - 1], "u8"), [np.uint64(2**64 - 1)], [2**64 - 1])),
        ([np.array([2**64 - 1], "u8")], DOUBLES),
        ([[np.uint64(2**64 - 1)]], DOUBLES),
        ([[[np.uint64(2**64 - 1)]]], pa.list_(DOUBLES)),
        (np.array([[2**64 - 1, 1]], "u8"), DOUBLES),
        ([NANOSECOND], pa.timestamp("us")),
        ([NANOSECOND], pa.timestamp("us", "UTC")),
        ([[NANOSECOND]], pa.list_(pa.timestamp("us"))),
        (np.array([NANOSECOND], object), pa.timestamp("us")),
        ([{"at": NANOSECOND}], pa.struct([("at", pa.timestamp("us"))])),
        ([DAY, NOON], pa.date32()),
        ([NOON, DAY], pa.date32()),
        ([[DAY, NOON]], pa.list_(pa.date32())),
        ([BIG, 1.5], DOUBLE),
        ([{1.0, 2.0}], DOUBLES),
        ([[{1.0}]], pa.list_(DOUBLES)),
        ([["ab", "cd"]], pa.map_(TEXT, TEXT)),
        ([[("k", 1), ("k", 2)]], MAP),
        ([{}, {"k": 1}, [(1, 1), ("1", 2)]], MAP),
    ],
)
def test_a_value_of_which_a_part_would_be_lost_is_an_error(values: Any, wanted: pa.DataType) -> None:
    with pytest.raises(PredictionShapeError, match="'p'"):
        to_array(values, "p", wanted, len(values))


def test_a_tensor_without_axes_is_a_value() -> None:
    assert to_array([torch.tensor(1.5), torch.tensor([2.5])], "p", DOUBLE, 2).to_pylist() == [1.5, 2.5]
    assert to_array([[torch.tensor(1.5)]], "p", DOUBLES, 1).to_pylist() == [[1.5]]


def test_a_field_in_another_case_is_an_error_and_a_missing_one_is_null() -> None:
    assert value({"x": 1.0}, PLACE) == {"y": None, "x": 1.0}
    assert value({"x": 1.0, "z": 1.0}, PLACE) == {"y": None, "x": 1.0}
    for row, wanted in (({"x": 1.0, "Y": 2.0}, PLACE), ([{"X": 1.0}], pa.list_(PLACE))):
        with pytest.raises(PredictionShapeError, match=r"'[XY]' and without '[xy]'"):
            value(row, wanted)
    with pytest.raises(PredictionShapeError, match="two keys of one text"):
        value({1: 1.0, "1": 2.0}, PLACE)
