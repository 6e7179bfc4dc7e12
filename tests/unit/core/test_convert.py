from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.binding import Binding, BoundColumn, TensorInput
from spark_infer.core.casts import retype
from spark_infer.core.contract import bind
from spark_infer.core.convert import matrix, project, tensor, to_numpy
from spark_infer.core.signature import Column, Signature
from spark_infer.errors import InputValueError

BIG = 2**53 + 1


def one_column(array: pa.Array, wanted: pa.DataType) -> tuple[pa.RecordBatch, Binding]:
    batch = pa.RecordBatch.from_arrays([array], names=["a"])
    return batch, Binding(columns=(BoundColumn(source="a", target="m", type=wanted),))


def test_an_exact_match_is_not_copied() -> None:
    batch, binding = one_column(pa.array([1.0, 2.0]), pa.float64())
    assert project(batch, binding).column("m").buffers()[1].address == batch.column("a").buffers()[1].address


def test_a_long_that_double_cannot_hold_is_an_error_without_the_value() -> None:
    with pytest.raises(InputValueError, match="'a'") as refusal:
        project(*one_column(pa.array([1, BIG]), pa.float64()))
    assert str(BIG) not in str(refusal.value)


def test_a_missing_optional_column_is_left_out() -> None:
    batch = pa.RecordBatch.from_pydict({"a": [1, 2]})
    a = BoundColumn(source="a", target="a", type=pa.int64())
    binding = Binding(columns=(a, BoundColumn(source=None, target="s", type=pa.string())))
    assert project(batch, binding).to_pydict() == {"a": [1, 2]}


@given(st.decimals(-(10**12), 10**12, places=4))
def test_a_decimal_becomes_the_nearest_double(value: Decimal) -> None:
    assert retype(pa.array([value], pa.decimal128(20, 4)), pa.float64()).to_pylist() == [float(value)]


@pytest.mark.parametrize(
    ("array", "dtype"),
    [(pa.array([True, None]), "bool"), (pa.array(["a", None]), "str"), (pa.array([[1, None]]), "int64")],
)
def test_a_null_has_no_place_in_a_tensor_without_nan(array: pa.Array, dtype: str) -> None:
    shape = (-1, 2) if pa.types.is_list(array.type) else (-1,)
    spec = TensorInput(name="t", columns=("t",), dtype=dtype, shape=shape)
    with pytest.raises(InputValueError, match="'t' holds a null"):
        tensor(pa.RecordBatch.from_arrays([array], names=["t"]), spec)


def test_maps_become_dicts() -> None:
    array = pa.array([[("a", 1.0)], None], pa.map_(pa.string(), pa.float64()))
    assert to_numpy(array, "m").tolist() == [{"a": 1.0}, None]


def test_structs_are_matched_by_field_name_and_keep_their_nulls() -> None:
    array = pa.array([{"y": 1, "x": 2}, None], pa.struct([("y", pa.int32()), ("x", pa.int32())]))
    wanted = pa.struct([("x", pa.int64()), ("z", pa.string())])
    assert retype(array, wanted).to_pylist() == [{"x": 2, "z": None}, None]


def test_an_instant_is_handed_over_as_utc() -> None:
    noon = datetime(2024, 7, 1, 12, tzinfo=timezone.utc)
    array = pa.array([noon], pa.timestamp("us", "America/New_York"))
    assert retype(array, pa.timestamp("us")).to_pylist() == [noon.replace(tzinfo=None)]


def test_a_null_in_an_integer_input_is_an_error_that_counts() -> None:
    with pytest.raises(InputValueError, match=r"holds 2 null\(s\) in a batch of 3 rows"):
        to_numpy(pa.array([1, None, None], pa.int64()), "a")


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_long_values_survive_exactly(values: list[int]) -> None:
    assert to_numpy(pa.array(values, pa.int64()), "a").tolist() == values


@given(st.lists(st.one_of(st.none(), st.floats()), min_size=1))
def test_the_dtype_of_a_float_column_does_not_depend_on_its_nulls(values: list[float | None]) -> None:
    array = to_numpy(pa.array(values, pa.float64()), "a")
    assert array.dtype == np.float64
    assert [value is None or value != value for value in values] == np.isnan(array).tolist()


def test_text_and_nested_values_keep_none() -> None:
    assert to_numpy(pa.array(["x", None]), "a").tolist() == ["x", None]
    one, none, other = to_numpy(pa.array([[1, 2], None, [3, 4]]), "a")
    assert (one.tolist(), none, other.tolist()) == ([1, 2], None, [3, 4])


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_holds_each_column_and_nan_for_null(order: Literal["C", "F"]) -> None:
    columns = [pa.array([1.0, None]), pa.array([3, 4])]
    laid = matrix(columns, ["a", "b"], "float64", order=order)
    assert laid.flags["C_CONTIGUOUS" if order == "C" else "F_CONTIGUOUS"]
    np.testing.assert_array_equal(laid, [[1.0, 3.0], [np.nan, 4.0]])


def list_tensor(array: pa.Array, *shape: int) -> np.ndarray:
    batch = pa.RecordBatch.from_arrays([array], names=["v"])
    return tensor(batch, TensorInput(name=None, columns=("v",), dtype="float64", shape=(-1, *shape)))


def test_regular_arrays_become_one_tensor() -> None:
    array = pa.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    assert list_tensor(array, 2, 2).shape == (3, 2, 2)
    np.testing.assert_array_equal(list_tensor(array.slice(1), 4), [[5, 6, 7, 8], [9, 10, 11, 12]])
    assert list_tensor(array.slice(3), 4).shape == (0, 4)


@pytest.mark.parametrize("values", [[[1.0, 2], [3.0]], [[1.0, 2], None], [[1.0, 2, 3], [1.0, 2, 3]]])
def test_ragged_null_and_odd_sized_arrays_are_errors_that_name_the_column(values: list[list[float] | None]) -> None:
    with pytest.raises(InputValueError, match="'v'"):
        list_tensor(pa.array(values), 2)


def test_texts_side_by_side_become_a_tensor_of_whole_texts() -> None:
    batch = pa.record_batch({"a": ["Oslo", "x"], "b": ["Köln", ""]})
    pair = tensor(batch, TensorInput(name=None, columns=("a", "b"), dtype="str", shape=(-1, 2)))
    one = tensor(batch, TensorInput(name="a", columns=("a",), dtype="str", shape=(-1, 1)))
    assert (pair.tolist(), one.tolist()) == ([["Oslo", "Köln"], ["x", ""]], [["Oslo"], ["x"]])


def test_a_regular_array_is_its_own_tensor_without_a_copy() -> None:
    values = np.arange(12.0)
    array = pa.ListArray.from_arrays(pa.array([0, 4, 8, 12], pa.int32()), pa.array(values))
    assert np.shares_memory(list_tensor(array, 2, 2), values)
    assert np.shares_memory(list_tensor(array.slice(1, 1), 4), values[4:8])
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(values), 4)
    assert np.shares_memory(list_tensor(fixed.slice(1), 4), values[4:])


def test_nested_arrays_become_tensors_of_their_dimensions() -> None:
    array = pa.array([[[1.0, 2.0]], [[3.0, None]], [[5.0, 6.0]]]).slice(1)
    np.testing.assert_array_equal(list_tensor(array, 1, 2), [[[3.0, np.nan]], [[5.0, 6.0]]])
    np.testing.assert_array_equal(list_tensor(array, -1, -1), [[[3.0, np.nan]], [[5.0, 6.0]]])
    assert list_tensor(array.slice(2), 1, 2).shape == (0, 1, 2)
    with pytest.raises(InputValueError, match="1 of 2 arrays are null or of another size"):
        list_tensor(pa.array([[[1.0]], [[1.0], [2.0]]]), 1, 1)


@pytest.mark.parametrize(("sizes", "shape"), [((-1,), (2, 0)), ((-1, 2), (2, 0, 2))])
def test_arrays_of_no_numbers_are_tensors_of_no_numbers(sizes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert list_tensor(pa.array([[], []], pa.list_(pa.float64())), *sizes).shape == shape


def test_an_open_size_must_come_out_even() -> None:
    assert list_tensor(pa.array([[1.0, 2.0, 3.0, 4.0]]), -1, 2).shape == (1, 2, 2)
    with pytest.raises(InputValueError, match=r"'v' does not hold \?x2 numbers .* arrays of 3 numbers"):
        list_tensor(pa.array([[1.0, 2.0, 3.0]]), -1, 2)


def test_what_python_has_no_value_for_is_an_error_without_the_value() -> None:
    for array in (
        pa.array([[2**62]], pa.list_(pa.timestamp("us"))),
        pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64())),
    ):
        with pytest.raises(InputValueError, match=r"Column 'c' .* that Python cannot"):
            to_numpy(array, "c")


def test_numbers_side_by_side_become_a_tensor() -> None:
    batch = pa.RecordBatch.from_pydict({"y": [1.0, 2.0], "x": [3.0, 4.0]})
    spec = TensorInput(name=None, columns=("x", "y"), dtype="float32", shape=(-1, 2))
    laid = tensor(batch, spec)
    assert laid.dtype == np.float32
    assert laid.tolist() == [[3, 1], [4, 2]]


def test_what_is_bound_is_what_arrives() -> None:
    signature = Signature(inputs=(Column(name="a", type=pa.float64()), Column(name="b", type=pa.string())))
    batch = pa.RecordBatch.from_pydict({"b": ["q"], "a": pa.array([7], pa.int32())})
    arrived = project(batch, bind(batch.schema, signature))
    assert arrived.to_pydict() == {"a": [7.0], "b": ["q"]}
    assert arrived.schema.types == [pa.float64(), pa.string()]
