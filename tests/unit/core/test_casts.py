from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.casts import in_utc, retype


@given(st.lists(st.none() | st.lists(st.none() | st.decimals(-(10**9), 10**9, places=12))), st.integers(0, 3))
def test_decimals_inside_arrays_become_the_nearest_doubles(rows: list[list[Decimal | None] | None], start: int) -> None:
    array = pa.array(rows, pa.list_(pa.decimal128(30, 12))).slice(start)
    expected = [None if row is None else [None if v is None else float(v) for v in row] for row in rows]
    assert retype(array, pa.list_(pa.float64())).to_pylist() == expected[start:]


def test_maps_keep_nulls_and_slices() -> None:
    array = pa.array([[("a", 1)], None, [("b", 2), ("c", None)], []], pa.map_(pa.string(), pa.int32())).slice(1)
    assert retype(array, pa.map_(pa.string(), pa.int64())).to_pylist() == [None, [("b", 2), ("c", None)], []]


def test_structs_inside_arrays_are_matched_by_name() -> None:
    array = pa.array([[{"y": 1, "x": 2}, None]], pa.list_(pa.struct([("y", pa.int32()), ("x", pa.int32())])))
    wanted = pa.list_(pa.struct([("x", pa.int64())]))
    assert retype(array, wanted).to_pylist() == [[{"x": 2}, None]]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2)),
        pa.array([[1.0, 2.0], None], pa.large_list(pa.float64())),
    ],
)
def test_every_kind_of_list_becomes_a_list(array: pa.Array) -> None:
    assert retype(array, pa.list_(pa.float64())).to_pylist() == [[1.0, 2.0], None]


@pytest.mark.parametrize(
    "wanted", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.int64())]
)
def test_a_column_of_nothing_becomes_anything(wanted: pa.DataType) -> None:
    assert retype(pa.nulls(2), wanted).equals(pa.nulls(2, wanted))


def test_instants_are_labelled_as_utc_at_every_depth() -> None:
    local, utc = (pa.timestamp("us", zone) for zone in ("Asia/Kolkata", "UTC"))
    deep = [pa.struct([("a", pa.list_(zone))]) for zone in (local, utc)]
    batch = pa.RecordBatch.from_arrays(
        [pa.array([7], local), pa.array([{"a": [7]}], deep[0]), pa.array([1.0])], names=["t", "d", "x"]
    )
    labelled = in_utc(batch)
    assert labelled.schema.types == [utc, deep[1], pa.float64()]
    assert labelled.column("t").cast(pa.int64()).to_pylist() == [7]
    assert in_utc(labelled) is labelled


@given(st.lists(st.none() | st.floats(width=64)))
def test_doubles_become_the_nearest_floats_as_numpy_rounds(values: list[float | None]) -> None:
    array = pa.array([values, None], pa.list_(pa.float64()))
    given_ = np.array([value for value in values if value is not None])
    with np.errstate(over="ignore"):
        rounded = given_.astype(np.float32)
    if (np.isinf(rounded) & ~np.isinf(given_)).any():
        with pytest.raises(pa.ArrowInvalid, match="too large"):
            retype(array, pa.list_(pa.float32()))
    else:
        found = retype(array, pa.list_(pa.float32()))
        assert found.flatten().drop_null().to_numpy().tobytes() == rounded.tobytes()
        assert found.is_null().to_pylist() == [False, True]
