from __future__ import annotations

import struct
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.duplicates import group_rows, row_digests

OTHER_NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "double": (pa.float64(), [0.0, -0.0, 1.5, float("nan"), float("inf"), None]),
    "float": (pa.float32(), [0.0, -0.0, float("nan"), None]),
    "int": (pa.int8(), [0, 1, -1, None]),
    "long": (pa.int64(), [0, 2**53, 2**53 + 1, None]),
    "boolean": (pa.bool_(), [True, False, None]),
    "string": (pa.string(), ["", "a", "ab", "a\0", None]),
    "binary": (pa.binary(), [b"", b"\0", b"\0\0", None]),
    "date": (pa.date32(), [date(1970, 1, 1), date(2026, 1, 1), None]),
    "timestamp": (pa.timestamp("us", "UTC"), [0, 1, None]),
    "decimal": (pa.decimal128(20, 2), [Decimal("0.00"), Decimal("1.25"), None]),
    "array": (pa.list_(pa.float32()), [[], [0.0], [-0.0], [0.0, 0.0], [float("nan")], None]),
    "struct": (pa.struct([("a", pa.int32()), ("b", pa.string())]), [{"a": 0, "b": ""}, {"a": None, "b": ""}, None]),
    "null": (pa.null(), [None]),
}


def spelled(value: Any) -> Any:
    """The value so that equal means equal bits."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, list):
        return tuple(map(spelled, value))
    return tuple(value.items()) if isinstance(value, dict) else value


@given(st.data())
def test_rows_are_together_when_and_only_when_all_their_bits_are_the_same(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from([*VALUES]), min_size=1, max_size=3, unique=True))
    rows = data.draw(st.lists(st.tuples(*(st.sampled_from(VALUES[kind][1]) for kind in kinds)), min_size=1))
    cut = data.draw(st.integers(0, len(rows) - 1))
    columns = [pa.array([row[at] for row in rows], VALUES[kind][0]) for at, kind in enumerate(kinds)]
    groups = group_rows(pa.RecordBatch.from_arrays(columns, names=kinds).slice(cut))
    assert groups is not None
    wanted = [tuple(map(spelled, row)) for row in rows[cut:]]
    order = list(dict.fromkeys(wanted))
    assert groups.group.to_pylist() == [order.index(row) for row in wanted]
    assert groups.first.to_pylist() == [wanted.index(row) for row in order]


def test_nan_of_other_bits_is_another_value() -> None:
    column = pa.array(np.array([float("nan"), OTHER_NAN, float("nan")]))
    groups = group_rows(pa.RecordBatch.from_arrays([column], names=["a"]))
    assert groups is not None
    assert groups.group.to_pylist() == [0, 1, 0]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())),
        pa.array([["a"]]),
        pa.array([[1.0, None]]),
        pa.array([{"a": [["b"]]}]),
    ],
    ids=lambda each: str(each.type),
)
def test_what_cannot_be_compared_by_its_bits_is_left_alone(column: pa.Array) -> None:
    assert group_rows(pa.RecordBatch.from_arrays([pa.array([1]), column], names=["a", "b"])) is None


def test_a_batch_without_columns_has_no_equal_rows() -> None:
    assert group_rows(pa.RecordBatch.from_pylist([], schema=pa.schema([]))) is None


NESTED: dict[str, tuple[pa.DataType, list[Any]]] = {
    "numbers": (pa.list_(pa.float32()), [[], [1.0], [1.0, None], [None], [0.0], [-0.0], [float("nan")], None]),
    "texts": (pa.list_(pa.string()), [[], ["a", "b"], ["ab"], [None], [""], None]),
    "flags": (pa.list_(pa.list_(pa.bool_())), [[], [[]], [None], [[True]], [[None]], [[True], []], None]),
    "map": (pa.map_(pa.string(), pa.int32()), [[], [("a", 1)], [("a", None)], [("a", 1), ("b", 1)], None]),
    "objects": (
        pa.list_(pa.struct([("a", pa.decimal128(20, 2)), ("b", pa.string())])),
        [[], [{"a": Decimal("0.00"), "b": ""}], [{"a": None, "b": ""}], [None], None],
    ),
    "tensor": (pa.list_(pa.float64(), 2), [[1.0, 2.0], [1.0, None], None]),
}


@pytest.mark.parametrize("kind", [*VALUES, *NESTED])
def test_a_row_has_one_digest_whatever_batch_and_encoding_it_is_in(kind: str) -> None:
    type_, values = (VALUES | NESTED)[kind]

    def digests(*rows: Any, first: int = 0, encoded: bool = False) -> list[Any]:
        column = pa.array(rows, type_).slice(first)
        column = column.dictionary_encode() if encoded else column
        return [*row_digests(pa.RecordBatch.from_arrays([column], names=["a"])).tolist()]

    alone = [digests(value)[0] for value in values]
    assert digests(*values) == alone
    assert digests(values[-1], values[0], *values, first=2) == alone
    assert len({*map(tuple, alone)}) == len(values)
    if kind in ("string", "double", "long"):
        assert digests(*values, encoded=True) == alone


def test_a_digest_is_the_same_in_every_version() -> None:
    columns = {
        "text": pa.array(["Grüße", None]),
        "x": pa.array([1.5, -0.0]),
        "many": pa.array([[1.0, None], []], pa.list_(pa.float32())),
    }
    digests = row_digests(pa.RecordBatch.from_pydict(columns))
    assert [row.tobytes().hex() for row in digests] == [
        "161ab2ec62245c3287ef29187e673257",
        "bc0089e5975bf373e9d4eae96d7d7c39",
    ]


def test_rows_without_columns_are_equal() -> None:
    rows = pa.RecordBatch.from_pylist([{}, {}], schema=pa.schema([]))
    assert row_digests(rows).shape == (rows.num_rows, 2)
