"""Deletion vectors, in each place where the log may say that they are."""

from __future__ import annotations

import base64
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from pyroaring import BitMap64

from spark_infer.errors import SourceReadError
from spark_infer.tables.delta.deletion_vector import _RFC1924, _Z85, DeletionVector, deleted_rows
from spark_infer.tables.listing import Listing, SourceFile
from spark_infer.tables.scan.read_eligibility import deletion_doubts
from spark_infer.tables.storage import Storage, open_storage

MAGIC = struct.pack("<i", 1681511377)


def z85(data: bytes) -> str:
    return base64.b85encode(data, pad=True).translate(bytes.maketrans(_RFC1924, _Z85)).decode()


def listed(rows: Sequence[int]) -> bytes:
    return MAGIC + bytes(BitMap64(rows).serialize())


def in_file(folder: Path, *lists: Sequence[int], prefix: str = "") -> list[DeletionVector]:
    """Write lists into one file as Delta does: a version, then each list after its size and before its checksum."""
    name = UUID(int=7)
    content, found = b"\x01", []
    for rows in lists:
        data = listed(rows)
        place = f"{prefix}{z85(name.bytes)}"
        found.append(DeletionVector("u", place, len(data), len(rows), offset=len(content)))
        content += struct.pack(">i", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    (folder / prefix).mkdir(exist_ok=True)
    (folder / prefix / f"deletion_vector_{name}.bin").write_bytes(content)
    return found


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    found = open_storage(f"file://{tmp_path}")
    assert found is not None
    return found


@pytest.mark.parametrize("prefix", ["", "ab"])
def test_lists_in_a_file_are_found_by_their_offset(storage: Storage, tmp_path: Path, prefix: str) -> None:
    first, second = in_file(tmp_path, [0, 3, 2**33 + 5], list(range(100_000)), prefix=prefix)
    assert deleted_rows(storage, first, "f").tolist() == [0, 3, 2**33 + 5]
    assert deleted_rows(storage, second, "f").tolist() == list(range(100_000))


@pytest.mark.parametrize("prefix", ["..", "../other", "/etc", "a/../.."])
def test_a_list_outside_the_folder_is_not_for_workers(prefix: str) -> None:
    vector = DeletionVector("u", f"{prefix}{z85(UUID(int=7).bytes)}", 40, 1)
    assert not vector.in_table
    (doubt,) = deletion_doubts(Listing((SourceFile("a.parquet", 9, vector=vector),)))
    assert doubt == "some of its deletion vectors lie outside its folder"


def test_a_list_in_the_log_itself_is_read_without_any_file(storage: Storage) -> None:
    data = listed([3, 4, 7, 11, 18, 29])
    assert deleted_rows(storage, DeletionVector("i", z85(data), len(data), 6), "f").tolist() == [3, 4, 7, 11, 18, 29]


def test_the_example_of_the_specification_names_its_file() -> None:
    # PROTOCOL.md, "Deletion Vector Descriptor Schema", the first example.
    named = DeletionVector("u", "ab^-aqEH.-t@S}K{vb[*k^", 36, 6, offset=4)
    assert named.path == "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:], "its checksum is wrong"),
        (lambda data: data[:-1], "its size is not the one in the log"),
        (lambda data: b"", "it is damaged"),
        (None, "it is missing"),
    ],
)
def test_a_list_that_is_missing_or_damaged_is_named_as_what_it_is(
    storage: Storage, tmp_path: Path, damage: object, why: str
) -> None:
    (vector,) = in_file(tmp_path, [1, 2, 3])
    path = tmp_path / vector.path
    if callable(damage):
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(SourceReadError, match=why) as refused:
        deleted_rows(storage, vector, "part=1/f.parquet")
    assert "deletion vector of" in str(refused.value)
    assert str(path) in str(refused.value)
    assert "part=…/f.parquet" in str(refused.value)


def test_a_list_of_another_length_or_format_than_the_log_says_is_refused(storage: Storage, tmp_path: Path) -> None:
    data = listed([1, 2, 3])
    with pytest.raises(SourceReadError, match="lists 3 rows and the log says 4"):
        deleted_rows(storage, DeletionVector("i", z85(data), len(data), 4), "f")
    old = struct.pack("<i", 1681511376) + data[4:]
    with pytest.raises(SourceReadError, match="format 1681511376 is unknown"):
        deleted_rows(storage, DeletionVector("i", z85(old), len(old), 3), "f")
    short = data[:10]
    with pytest.raises(SourceReadError, match="damaged"):
        deleted_rows(storage, DeletionVector("i", z85(short), len(short), 3), "f")


def test_a_list_that_is_larger_than_its_file_is_refused_before_its_bytes_are_allocated(
    storage: Storage, tmp_path: Path
) -> None:
    (vector,) = in_file(tmp_path, [1, 2, 3])
    tracemalloc.start()
    try:
        with pytest.raises(SourceReadError, match="its size is not the one in the log"):
            deleted_rows(storage, replace(vector, size=2**28), "f")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
