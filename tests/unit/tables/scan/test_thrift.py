"""Thrift's compact protocol, byte by byte: damaged bytes are found in time in proportion to them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from spark_infer.errors import SparkInferError
from spark_infer.tables.parquet.footers import read_footers
from spark_infer.tables.scan.parquet_schema import SchemaReader
from spark_infer.tables.scan.thrift import LIST, STRUCT, Reader, varint
from spark_infer.tables.storage import open_storage

MANY = b"\xff\xff\xff\xff\x07"
"""2**31 - 1"""


@pytest.mark.parametrize("number", [0, 127, 128, 2**31, 2**63, 2**64 - 1])
def test_numbers_of_up_to_64_bits_are_read(number: int) -> None:
    data, rest = b"", number
    while rest > 127:
        data, rest = data + bytes([rest & 127 | 128]), rest >> 7
    data += bytes([rest])
    assert varint(b"x" + data + b"y", 1) == (number, 1 + len(data))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x15" + b"\xff" * 2_000_000, "more than 64 bits"),
        (b"\x15" + b"\xff" * 9 + b"\x02", "more than 64 bits"),
        (b"\x05" + b"\xff" * 2_000_000, "more than 64 bits"),  # the number of a field
        (b"\x15\xff", "ends too early"),
        (b"\x18" + MANY + b"text", "ends too early"),
        (b"\x19\xf5" + MANY + b"\x00" * 9, "ends too early"),
        (b"\x1b" + MANY + b"\x55" + b"\x00" * 9, "ends too early"),
        (b"\x1c" * 200_000, "nested too deep"),
        (b"\x19" + b"\x19" * 200_000, "nested too deep"),
        (b"\x1b" + b"\x01\xbb" * 200_000, "nested too deep"),
    ],
)
def test_damaged_bytes_are_refused_at_once(data: bytes, why: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match=why):
        Reader(data).value(STRUCT)
    assert time.process_time() - start < 1


def test_a_list_is_no_longer_than_the_bytes_that_are_left() -> None:
    reader = Reader(b"\xf5" + MANY + b"\x00" * 9)
    with pytest.raises(ValueError, match="ends too early"):
        reader.value(LIST)
    assert reader.at == 6  # no element was read


def test_a_map_may_have_lists_as_keys() -> None:
    assert Reader(b"\x1b\x01\x95\x15\x02\x04\x00").value(STRUCT) == {1: [([1], 2)]}


def test_columns_that_are_nested_without_end_are_not_read() -> None:
    element = b"\x48\x01a\x15\x02\x00"  # the name `a`, one child
    with pytest.raises(ValueError, match="nested too deep"):
        SchemaReader().read(b"\x29\xfc\x88\x27" + element * 5000)


def test_a_length_that_is_a_list_is_not_read() -> None:
    with pytest.raises(ValueError, match="not a tree"):
        SchemaReader().read(b"\x29\x1c\x29\x15\x02\x28\x01a\x00")


def test_a_footer_with_an_endless_number_is_refused_with_the_file(tmp_path: Path) -> None:
    body = b"\x15" + b"\xff" * 2_000_000
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + body + len(body).to_bytes(4, "little") + b"PAR1")
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    start = time.process_time()
    with pytest.raises(SparkInferError, match=r"a\.parquet"):
        read_footers(storage, ["a.parquet"])
    assert time.process_time() - start < 1
