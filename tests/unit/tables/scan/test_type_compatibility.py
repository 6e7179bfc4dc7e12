from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from spark_infer.tables.scan.task import Scan
from spark_infer.tables.scan.type_compatibility import as_spark, same_values, stored_columns

UTC = pa.timestamp("us", "UTC")
WALL = pa.timestamp("us")
LISTED = pa.struct([("a", pa.list_(pa.int8()))])


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
        (pa.uint64(), pa.int64()),
        (pa.uint8(), pa.int8()),
        (pa.int64(), pa.int32()),
        (pa.int64(), pa.float64()),
        (pa.float64(), pa.float32()),
        (pa.float16(), pa.float32()),
        (pa.int32(), pa.date32()),
        (pa.date32(), WALL),
        (pa.binary(4), pa.string()),
        (pa.string(), pa.int32()),
        (pa.null(), pa.string()),
        (pa.decimal128(10, 2), pa.decimal128(12, 5)),
        (pa.decimal128(10, 2), pa.decimal128(10, 1)),
        (pa.int32(), pa.decimal128(10, 1)),
        (pa.int64(), pa.decimal128(19, 0)),
        (pa.timestamp("ns", "UTC"), UTC),
        (UTC, WALL),
        (pa.time64("us"), pa.int64()),
        (pa.struct([("b", pa.int64()), ("a", pa.int64())]), pa.struct([("a", pa.int64()), ("b", pa.int64())])),
        (pa.struct([("a", pa.int64())]), pa.struct([("a", pa.int64()), ("b", pa.int64())])),
        (pa.list_(pa.int64()), pa.list_(pa.int32())),
        (pa.string(), pa.list_(pa.string())),
        (
            pa.struct([("value", pa.binary())]),
            pa.struct([pa.field("value", pa.binary(), metadata={"variant": "true"})]),
        ),
    ],
)
def test_what_is_not_known_to_be_the_same(found: pa.DataType, wanted: pa.DataType) -> None:
    assert not same_values(found, wanted)


def test_nanoseconds_that_are_no_whole_microseconds_are_refused() -> None:
    with pytest.raises(pa.ArrowInvalid):
        as_spark(pa.array([1001, None], pa.timestamp("ns")), WALL)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (pa.array([300, -129, None], pa.int32()), pa.array([44, 127, None], pa.int8())),
        (pa.array([7, None], pa.int32()), pa.array([7, None], pa.int64())),
        (pa.array([7, None], pa.int16()), pa.array([7, None], pa.float64())),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([Decimal(2**64 - 1)], pa.decimal128(20, 0))),
        (pa.array([0.1], pa.float32()), pa.array([0.10000000149011612], pa.float64())),
        (pa.array([b"ab", None], pa.binary(2)), pa.array([b"ab", None], pa.binary())),
        (pa.array([b"{}"], pa.binary()), pa.array(["{}"])),
        (pa.array(["{}"], pa.json_()), pa.array(["{}"])),
        (pa.array(["ü"], pa.string_view()), pa.array(["ü"])),
        (pa.array([1], WALL), pa.array([1], UTC)),
        (pa.array([1], pa.duration("ms")), pa.array([1], pa.int64())),
        (pa.array([Decimal("1.50")]), pa.array([Decimal("1.500")], pa.decimal128(10, 3))),
        (pa.array([{"a": [300]}], pa.struct([("a", pa.list_(pa.int32()))])), pa.array([{"a": [44]}], LISTED)),
        (pa.nulls(2), pa.array([None, None], pa.int32())),
    ],
)
def test_columns_are_cast_as_spark_reads_them(column: pa.Array, wanted: pa.Array) -> None:
    assert same_values(column.type, wanted.type)
    assert as_spark(column, wanted.type).equals(wanted)


def test_bytes_that_are_no_utf8_stay_as_they_are() -> None:
    assert as_spark(pa.array([b"\xff"]), pa.string()).view(pa.binary()).to_pylist() == [b"\xff"]


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (pa.array([1000], pa.timestamp("ns", "UTC")), pa.array([1], UTC)),
        (pa.array([1.5], pa.float16()), pa.array([1.5], pa.float32())),
        (pa.array([b"0123456789abcdef"], pa.uuid()), pa.array([b"0123456789abcdef"], pa.binary())),
        (pa.nulls(1), pa.array([None], pa.string())),
    ],
)
def test_what_spark_refuses_is_carried_where_a_type_holds_it_exactly(column: pa.Array, wanted: pa.Array) -> None:
    assert same_values(column.type, wanted.type, beyond_spark=True)
    assert as_spark(column, wanted.type).equals(wanted)


@pytest.mark.parametrize("nested", [False, True])
def test_a_decimal_with_more_digits_than_its_type_has_is_refused(nested: bool) -> None:
    kind = pa.decimal128(4, 0)
    column = pa.Array.from_buffers(kind, 1, pa.array([Decimal(12345)], pa.decimal128(5, 0)).buffers())
    if nested:
        column = pa.ListArray.from_arrays([0, 1], column)
    with pytest.raises(pa.ArrowInvalid):
        as_spark(column, column.type)


def test_thousands_of_columns_are_found_in_a_file() -> None:
    schema = pa.schema([(f"c{i}", pa.float64()) for i in range(20_000)])
    found = stored_columns(schema, Scan(uri="file:///t", schema=schema))
    assert [column.name for column in found.values()] == schema.names
