"""Pages of a Parquet file, and what their levels say, byte by byte."""

from __future__ import annotations

import pytest

from spark_infer.tables.scan.pages import Page, longest_text, pages, row_starts


def test_pages_that_are_something_else_are_found() -> None:
    for data in (b"\x15\x04", b"\x00", bytes(range(1, 60)), b"\x15\x00\x15\x01\x15\x02\x00"):
        with pytest.raises(ValueError):  # noqa: PT011
            list(pages(data))
    dictionary = Page(1, 8, True, False, 0, 3, memoryview(b"\4\0\0\0ab"))
    assert longest_text(dictionary, "UNCOMPRESSED") == 4
    with pytest.raises(ValueError, match="ends too early"):
        longest_text(Page(1, 8, True, False, 0, 3, memoryview(b"\4\0")), "UNCOMPRESSED")
    with pytest.raises(ValueError, match="not SNAPPY"):
        longest_text(dictionary, "SNAPPY")


@pytest.mark.parametrize(
    "data",
    [
        b"\x15\x00\x15\x02\x15\x02\x2c\x18\x01a\x15\x00\x00\x00",  # a text in place of the number of values
        b"\x15\x00\x15\x02\x15\x02\x2c\x15\x01\x15\x00\x00\x00",  # -1 values
        b"\x15\x00\x16\x80\x80\x80\x80\x20\x15\x02\x2c\x15\x02\x15\x00\x00\x00",  # 4 GiB
    ],
)
def test_pages_with_impossible_sizes_are_found(data: bytes) -> None:
    with pytest.raises(ValueError, match="impossible size"):
        list(pages(data))


@pytest.mark.parametrize(
    ("levels", "values", "starts"),
    [
        (b"\x03\b", 8, [0, 1, 2, 4, 5, 6, 7]),
        (b"\x08\x00\x02\x01\x04\x00", 7, [0, 1, 2, 3, 5, 6]),
        (b"\x80\x02\x01\x02\x00", 129, [128]),
        (b"\x05\xff\xfe", 12, [8]),
    ],
)
def test_the_first_values_of_rows_are_found_by_their_levels(levels: bytes, values: int, starts: list[int]) -> None:
    page = Page(values, 100, False, True, 0, len(levels), memoryview(levels + b"more"))
    assert row_starts(page, "SNAPPY", 1, 99).tolist() == starts
    before = len(levels).to_bytes(4, "little")
    page = Page(values, 100, False, False, 0, 3, memoryview(before + levels + b"more"))
    assert row_starts(page, "UNCOMPRESSED", 1, 99).tolist() == starts


@pytest.mark.parametrize(
    ("levels", "why"),
    [
        (b"\x80\x80\x80\x80\x20\x00", "more rows"),
        (b"\x05\x00", "ends? too early"),
        (b"\x80", "ends? too early"),
        (b"", "ends? too early"),
        (b"\xff" * 2_000_000, "more than 64 bits"),
        (b"\x00\x00", "a run of nothing"),
    ],
)
def test_levels_that_are_something_else_are_found(levels: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        row_starts(Page(2**31 - 1, 100, False, True, 0, len(levels), memoryview(levels)), "SNAPPY", 1, 9)
