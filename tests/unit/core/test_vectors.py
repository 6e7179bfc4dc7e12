from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core import vectors
from spark_infer.core.signature import spelled
from spark_infer.core.vectors import densify, is_vector
from tests.types.cases import VECTOR, dense, sparse


@given(
    st.lists(st.none() | st.lists(st.sampled_from([0.0, 1.5, -2.0]), max_size=4).map(lambda row: (row, len(row) % 2))),
    st.integers(0, 3),
)
def test_vectors_become_the_arrays_they_stand_for(rows: list[tuple[list[float], int] | None], start: int) -> None:
    told: list[dict[str, Any] | None] = []
    for row in rows:
        if row is None:
            told.append(None)
            continue
        values, is_sparse = row
        present = {f"_{index}": value for index, value in enumerate(values) if value}
        told.append(sparse(len(values), **present) if is_sparse else dense(*values))
    array = densify(pa.array(told, VECTOR).slice(start))
    assert array.to_pylist() == [None if row is None else row[0] for row in rows][start:]


def test_dense_vectors_are_not_copied() -> None:
    array = pa.array([dense(1.0, 2.0), dense(3.0, 4.0)], VECTOR)
    before = array.field("values").values.buffers()[1].address
    assert densify(array).values.buffers()[1].address == before


def test_sparse_vectors_too_wide_for_a_batch_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "MAX_DENSE_BYTES", 8 * 9)
    assert len(densify(pa.array([sparse(9)], VECTOR)).values) == 9
    with pytest.raises(pa.ArrowInvalid, match="80 bytes"):
        densify(pa.array([sparse(5), sparse(5)], VECTOR))


def test_only_the_vectors_own_struct_is_a_vector() -> None:
    assert is_vector(VECTOR)
    assert spelled(VECTOR) == "vector"
    assert not is_vector(pa.struct(list(VECTOR)[:3]))
    assert not is_vector(pa.struct([*list(VECTOR)[:3], pa.field("values", pa.list_(pa.float32()))]))
    assert not is_vector(pa.list_(pa.float64()))
    assert np.array_equal(densify(pa.array([], VECTOR)).to_pylist(), [])
