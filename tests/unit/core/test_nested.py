"""Nested columns as objects: what pandas UDFs have, of the declared width, and what MLflow's enforcement takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.convert import to_numpy
from spark_infer.core.nested import turned_nulls
from spark_infer.errors import InputValueError

SCALARS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.float32(): st.floats(width=32),
    pa.float64(): st.none() | st.floats(),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.bool_(): st.booleans(),
    pa.string(): st.none() | st.text(max_size=2),
    pa.decimal128(5, 2): st.none() | st.decimals(-99, 99, places=2),
}


def lists(inner: tuple[pa.DataType, st.SearchStrategy[Any]]) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    return pa.list_(inner[0]), st.none() | st.lists(inner[1], max_size=3)


def structs(inner: tuple[pa.DataType, st.SearchStrategy[Any]]) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    fields = {"a": inner[1], "b": st.none() | st.integers(0, 9)}
    return pa.struct([("a", inner[0]), ("b", pa.int64())]), st.none() | st.fixed_dictionaries(fields)


KINDS = st.recursive(
    st.sampled_from(list(SCALARS.items())),
    lambda inner: inner.map(lists) | inner.map(structs),
    max_leaves=3,
).filter(lambda kind: pa.types.is_nested(kind[0]))


@st.composite
def columns(draw: st.DrawFn) -> pa.Array:
    data_type, values = draw(KINDS)
    column = pa.array(draw(st.lists(values, max_size=6)), data_type)
    return column.slice(draw(st.integers(0, len(column))))


def spelled(value: Any) -> str:
    """A value with its dtypes; a list that holds arrays, where pandas has an array of objects, as that."""
    if isinstance(value, np.ndarray | list):
        kind = value.dtype.name if isinstance(value, np.ndarray) else "object"
        return f"{kind}[{', '.join(map(spelled, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {spelled(each)}" for key, each in value.items()) + "}"
    return repr(value)


@given(columns())
def test_they_are_what_pandas_udfs_have(column: pa.Array) -> None:
    assert spelled(list(to_numpy(column, "c"))) == spelled(list(column.to_pandas(integer_object_nulls=True)))


def one(values: list[Any], data_type: pa.DataType, *, sized: bool = False) -> Any:
    return to_numpy(pa.array([None, *values], data_type).slice(1), "c", sized=sized)[0]


@pytest.mark.parametrize(
    ("values", "data_type", "expected"),
    [
        ([[1, None], [2]], pa.int64(), "object[1, None]"),
        ([[2**53 + 1], [None]], pa.int64(), f"int64[{2**53 + 1!r}]"),
        ([[True, None]], pa.bool_(), "object[True, None]"),
        ([[True], [None]], pa.bool_(), "bool[True]"),
        ([[1.5, None]], pa.float32(), "float32[1.5, nan]"),
    ],
)
def test_a_null_in_one_row_leaves_the_others_as_they_are(
    values: list[Any], data_type: pa.DataType, expected: str
) -> None:
    row = one(values, pa.list_(data_type))
    assert f"{row.dtype.name}{row.tolist()}" == expected


FLOATS, DEEP = pa.list_(pa.float32()), pa.list_(pa.list_(pa.list_(pa.float32())))


def test_arrays_of_one_shape_are_an_array_of_arrays_and_others_a_list_of_them() -> None:
    even = one([[[1.0], [2.0]]], pa.list_(FLOATS))
    assert (even.dtype, [each.dtype for each in even]) == (np.dtype(object), [np.dtype("f4")] * 2)
    for ragged in ([[1.0], [2.0, 3.0]], [[1.0], None]):
        row = one([ragged], pa.list_(FLOATS))
        assert isinstance(row, list)
        assert [None if each is None else each.tolist() for each in row] == ragged
    assert isinstance(one([[[[1.0]], [[2.0]]]], DEEP), np.ndarray)
    # The inner ones differ in depth two, or are lists themselves: no matrix can be made of these.
    assert isinstance(one([[[[1.0]], [[2.0, 3.0]]]], DEEP), list)
    assert isinstance(one([[[[1.0], [2.0, 3.0]], [[1.0], [2.0, 3.0]]]], DEEP), list)


def test_numbers_of_32_bits_in_structs_and_maps_are_numpys_where_they_are_enforced() -> None:
    record = pa.struct([("f", pa.float32()), ("n", pa.int32()), ("d", pa.float64()), ("l", FLOATS)])
    value = {"f": 0.1, "n": 1, "d": 0.1, "l": [0.5]}
    kinds = {name: type(each) for name, each in one([value], record, sized=True).items()}
    assert kinds == {"f": np.float32, "n": np.int32, "d": float, "l": np.ndarray}
    assert {type(each) for name, each in one([value], record).items() if name in "fnd"} == {float, int}
    assert one([{"f": None, "n": None}, {"n": 1}], record, sized=True) == {"f": None, "n": None, "d": None, "l": None}
    counts = one([[("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int32()), sized=True)
    assert counts == {"a": 1, "b": None}
    assert type(counts["a"]) is np.int32


TEXTS, FLAGS, WORDS = pa.list_(pa.string()), pa.list_(pa.bool_()), pa.map_(pa.string(), pa.list_(pa.string()))


@pytest.mark.parametrize(
    ("rows", "data_type", "turned"),
    [
        ([["a", None]], TEXTS, TEXTS),
        ([[True, None]], FLAGS, FLAGS),
        ([[["a"], [None]]], pa.list_(TEXTS), TEXTS),
        ([{"n": 1, "w": [None]}], pa.struct([("n", pa.int64()), ("w", TEXTS)]), TEXTS),
        ([[("k", ["a"]), ("l", [None])]], WORDS, TEXTS),
        ([["a"], None, []], TEXTS, None),
        ([[["a"], None]], pa.list_(TEXTS), None),
        ([[1.0, None]], FLOATS, None),
        ([{"w": None}, None], pa.struct([("w", TEXTS)]), None),
        ([[("k", None)], None], WORDS, None),
    ],
)
def test_nulls_that_enforcement_would_turn_into_values_are_found(
    rows: list[Any], data_type: pa.DataType, turned: pa.DataType | None
) -> None:
    column = pa.array([*rows, *rows], data_type)
    assert turned_nulls(column, data_type) == turned
    assert turned_nulls(column.slice(len(column)), data_type) is None
    # Where the signature says any, MLflow leaves the values alone.
    assert turned_nulls(column, pa.null()) is None


def test_nulls_of_other_rows_do_not_count() -> None:
    column = pa.array([[("k", [None])], [("k", ["a"])], [("k", [None])]], WORDS)
    assert turned_nulls(column.slice(1, 1), WORDS) is None


@pytest.mark.parametrize("data_type", [FLOATS, pa.list_(FLOATS), pa.list_(pa.int32()), pa.list_(pa.string())])
def test_rows_are_the_callers_own(data_type: pa.DataType) -> None:
    inner = data_type.value_type
    value: Any = [1.0, 2.0] if data_type == FLOATS else [[1.0]] if pa.types.is_list(inner) else [1]
    value = ["a"] if pa.types.is_string(inner) else value
    column = pa.array([value, value], data_type)
    first, second = to_numpy(column, "c")
    first[:] = first[:1] if pa.types.is_list(inner) else 7
    (first[0] if pa.types.is_list(inner) else first)[:] = 0
    assert column.to_pylist() == [value, value]
    assert spelled(second) == spelled(to_numpy(column, "c")[1])


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
        pa.array([[{"t": 2**62}]], pa.list_(pa.struct([("t", pa.timestamp("us"))]))),
    ],
    ids=["a key twice", "the year 148108"],
)
def test_what_python_has_no_value_for_is_an_error_that_names_the_column(column: pa.Array) -> None:
    with pytest.raises(InputValueError, match=r"^Column 'c'.* holds a value that Python cannot"):
        to_numpy(column, "c")
