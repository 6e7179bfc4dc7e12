from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_infer.core.difference import Difference, cosines, differences, worst_difference
from spark_infer.errors import ModelRefusedError
from spark_infer.models.sample_rows import Sample


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def test_numbers_differ_relatively_above_one_and_absolutely_below() -> None:
    found = worst_difference(batch(p=[0.25, 200.0, 0.5]), batch(p=[0.5, 202.0, 0.5]))
    assert found == Difference(output="p", row=0, size=0.25)
    found = worst_difference(batch(p=[200.0]), batch(p=[202.0]))
    assert found.size == 0.01


@pytest.mark.parametrize("values", [[math.nan], [math.inf], [-math.inf], [None], ["a"], [[1.0, math.nan]], [True]])
def test_what_is_the_same_does_not_differ(values: list[Any]) -> None:
    assert worst_difference(batch(p=values), batch(p=values)).size == 0


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1.0, math.nan], [1.0, 2.0]),
        ([1.0, math.inf], [1.0, -math.inf]),
        ([1.0, 3.0], [1.0, None]),
        ([1, 2], [1, 3]),
        (["a", "b"], ["a", "c"]),
        ([True, True], [True, False]),
        ([[1.0], [1.0, 2.0]], [[1.0], [1.0]]),
    ],
)
def test_a_label_or_a_missing_value_differs_by_infinity(left: list[Any], right: list[Any]) -> None:
    assert worst_difference(batch(p=left), batch(p=right)) == Difference(output="p", row=1, size=math.inf)


def test_the_row_of_a_list_is_named_and_not_the_place_of_its_value() -> None:
    left, right = [[0.0, 0.5], [0.0, 0.5], [0.0, 0.5]], [[0.0, 0.5], [0.0, 0.25], [0.125, 0.5]]
    assert worst_difference(batch(p=left), batch(p=right)) == Difference(output="p", row=1, size=0.25)


def test_the_worst_of_all_columns_is_found() -> None:
    found = worst_difference(batch(p=[0.0, 0.0], q=[0.0, 0.0]), batch(p=[0.0, 0.1], q=[0.5, 0.0]))
    assert found == Difference(output="q", row=0, size=0.5)


def test_the_fields_of_a_struct_are_compared_and_a_missing_one_differs_by_infinity() -> None:
    left = batch(p=[{"a": 0.0, "b": "x"}, {"a": 0.0, "b": "x"}, None, None])
    right = batch(p=[{"a": 0.5, "b": "x"}, {"a": 0.5, "b": "y"}, None, {"a": None, "b": None}])
    assert differences(left, right).tolist() == [0.5, math.inf, 0.0, math.inf]
    assert worst_difference(left, right) == Difference(output="p", row=1, size=math.inf)


def test_a_map_cannot_be_compared() -> None:
    rows = pa.RecordBatch.from_arrays([pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))], ["p"])
    with pytest.raises(ModelRefusedError, match="cannot be compared"):
        worst_difference(rows, rows)


def test_a_row_is_told_by_where_it_was_read() -> None:
    sample = Sample(batches=[batch(x=[1, 2, 3]), batch(x=[4, 5])], places=["a.parquet", "b.parquet"])
    assert sample.rows == 5
    assert [sample.place(row) for row in (0, 2, 3)] == [
        "row 0 of a.parquet",
        "row 2 of a.parquet",
        "row 0 of b.parquet",
    ]


def test_the_cosine_of_lists_is_that_of_their_directions() -> None:
    a = pa.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0], None, [1.0, 2.0]])
    b = pa.array([[6.0, 8.0], [0.0, 5.0], [0.0, 0.0], None, [-2.0, -4.0]])
    np.testing.assert_allclose(cosines(a, b), [1.0, 0.0, 1.0, 1.0, -1.0])
    np.testing.assert_allclose(cosines(pa.array([[1.0, 1.0]]), pa.array([[1.0, 0.0]])), [2**-0.5])


@pytest.mark.parametrize("other", [None, [1.0], [math.nan, 1.0], [0.0, 0.0]])
def test_a_list_that_cannot_be_compared_is_as_far_away_as_can_be(other: list[float] | None) -> None:
    lists = pa.list_(pa.float64())
    assert cosines(pa.array([[1.0, 2.0], [1.0]], lists), pa.array([other, [1.0]], lists)).tolist() == [-1.0, 1.0]
