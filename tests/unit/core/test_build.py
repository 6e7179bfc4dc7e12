"""Whatever form a model gives to the value of a row, it is read alone: the other rows of its batch change nothing."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest

from spark_infer.core.outputs import to_array
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
    return array.to_pylist(maps_as_pydicts="strict")[0]


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
