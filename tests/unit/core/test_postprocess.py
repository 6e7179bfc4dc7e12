from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.config import PackStep
from spark_infer.core.steps import compile_postprocess
from spark_infer.errors import StepError, StepFailedError

ARRAYS = st.lists(st.none() | st.lists(st.floats(width=32), max_size=4), min_size=1, max_size=12)


def one(column: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([column], names=["e"])


@given(ARRAYS, st.sampled_from([pa.float32(), pa.float64()]), st.sampled_from(["float", "double"]), st.integers(0, 11))
def test_the_bytes_are_those_of_numpy(
    rows: list[list[float] | None], value_type: pa.DataType, number: str, cut: int
) -> None:
    batch = one(pa.array(rows, pa.list_(value_type))).slice(min(cut, len(rows) - 1))
    found = compile_postprocess([PackStep(column="e", number=number)])(batch).column("e")
    dtype = "<f4" if number == "float" else "<f8"
    assert found.type == pa.binary()
    found.validate(full=True)
    kept = rows[min(cut, len(rows) - 1) :]
    assert found.to_pylist() == [None if row is None else np.array(row, dtype).tobytes() for row in kept]


def test_lists_of_one_size_are_packed_too_and_may_stand_beside_the_array() -> None:
    batch = one(pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0, 4.0], pa.float32()), 2))
    found = compile_postprocess([PackStep(column="e", output="bytes")])(batch)
    assert found.schema.names == ["e", "bytes"]
    assert np.frombuffer(found["bytes"][1].as_py(), "<f4").tolist() == [3.0, 4.0]


def test_a_batch_without_rows_tells_the_type() -> None:
    batch = one(pa.array([], pa.list_(pa.float32())))
    assert compile_postprocess([PackStep(column="e")])(batch).schema == pa.schema([("e", pa.binary())])


def test_what_has_no_place_in_packed_numbers_is_refused() -> None:
    step = compile_postprocess([PackStep(column="e")])
    with pytest.raises(StepFailedError, match="holds a null"):
        step(one(pa.array([[1.0, None]])))
    with pytest.raises(StepFailedError, match="too large for float"):
        step(one(pa.array([[1e300]])))
    with pytest.raises(StepError, match="takes an array of float or double, and 'e' is array<long>"):
        step(one(pa.array([[1]])))
