from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from spark_infer.core.pylist import to_pylist

TEXTS = pa.map_(pa.string(), pa.int64())


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int64(), [1, None]),
        (TEXTS, [{"a": 1, "b": None}, {}, None]),
        (pa.list_(TEXTS), [[{"a": 1}, None], [], None]),
        (pa.map_(pa.string(), TEXTS), [{"a": {"b": 2}, "c": None}]),
        (pa.struct([("m", TEXTS), ("n", pa.int64())]), [{"m": {"a": 1}, "n": 2}, {"m": None, "n": None}, None]),
        (pa.struct([("deep", pa.list_(pa.struct([("m", TEXTS)])))]), [{"deep": [{"m": {"a": 1}}, None]}]),
    ],
    ids=str,
)
def test_maps_are_dicts_at_every_depth(kind: pa.DataType, values: list[Any]) -> None:
    assert to_pylist(pa.array(values, kind)) == values


def test_a_record_batch_gives_a_dict_for_each_row() -> None:
    batch = pa.record_batch({"x": pa.array([1, 2]), "m": pa.array([{"a": 1}, None], TEXTS)})
    assert to_pylist(batch) == [{"x": 1, "m": {"a": 1}}, {"x": 2, "m": None}]


def test_a_key_that_a_map_has_twice_is_an_error() -> None:
    with pytest.raises(KeyError, match="one key twice"):
        to_pylist(pa.array([[("a", 1), ("a", 2)]], TEXTS))
