from __future__ import annotations

import pyarrow as pa
import pytest

from spark_infer.tables.scan.fit import same_values

UTC = pa.timestamp("us", "UTC")
WALL = pa.timestamp("us")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (pa.int64(), pa.int64()),
        (pa.uint8(), pa.int16()),
        (pa.uint32(), pa.int64()),
        (pa.dictionary(pa.int32(), pa.string()), pa.string()),
        (pa.large_string(), pa.string()),
        (pa.timestamp("ms", "UTC"), UTC),
        (pa.timestamp("ms"), WALL),
        (pa.list_(pa.field("item", pa.int32())), pa.list_(pa.field("element", pa.int32()))),
        (pa.list_(pa.float32(), 3), pa.list_(pa.float32())),
        (pa.struct([("a", pa.large_string())]), pa.struct([("a", pa.string())])),
        (pa.map_(pa.string(), pa.uint8()), pa.map_(pa.string(), pa.int16())),
    ],
)
def test_what_a_lossless_cast_makes_what_spark_reads(found: pa.DataType, wanted: pa.DataType) -> None:
    assert same_values(found, wanted)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (pa.int32(), pa.int64()),
        (pa.uint64(), pa.int64()),
        (pa.float32(), pa.float64()),
        (pa.binary(), pa.string()),
        (pa.decimal128(10, 2), pa.decimal128(12, 2)),
        (pa.timestamp("ns", "UTC"), UTC),
        (WALL, UTC),
        (UTC, WALL),
        (pa.struct([("b", pa.int64()), ("a", pa.int64())]), pa.struct([("a", pa.int64()), ("b", pa.int64())])),
        (pa.struct([("a", pa.int64())]), pa.struct([("a", pa.int64()), ("b", pa.int64())])),
        (pa.list_(pa.int32()), pa.list_(pa.int64())),
        (pa.string(), pa.list_(pa.string())),
    ],
)
def test_what_is_not_known_to_be_the_same(found: pa.DataType, wanted: pa.DataType) -> None:
    assert not same_values(found, wanted)


def test_times_stored_as_int96_are_instants() -> None:
    assert same_values(WALL, UTC, int96=True)
    assert not same_values(WALL, WALL, int96=True)
