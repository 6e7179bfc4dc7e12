"""Files that are several things at once, or that readers read differently, do not hide a pickle."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spark_infer.models.trust.pickle_scan import dangers_in
from spark_infer.models.trust.pickles import pickles_in


class Hostile:
    """Leaves a file where it was unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch unpickled",)


HOSTILE = pickle.dumps(Hostile(), 2)
END = b"PK\x05\x06"


def saved(save: Callable[[Any], object]) -> bytes:
    content = io.BytesIO()
    save(content)
    return content.getvalue()


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        archive.comment = comment
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def npy(described: str) -> bytes:
    header = f"{{'descr': {described}, 'fortran_order': False, 'shape': (1,), }}\n".encode("latin-1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + HOSTILE


def two_lists() -> bytes:
    """A zip whose first list, at the offset that its end names, is PyTorch's, and whose second is Python's."""
    first = zipped(("archive/data.pkl", HOSTILE), ("archive/version", b"3\n"))
    end = first.rindex(END)
    size, offset = struct.unpack("<II", first[end + 12 : end + 20])
    second = zipped(("archive/data.pkl", b"text"), ("archive/version", b"3\n"))
    second_offset = second.rindex(b"PK\x01\x02", 0, second.rindex(b"PK\x01\x02"))
    listed, moved, at = bytearray(second[second_offset : second.rindex(END)]), second_offset - offset, 0
    assert len(listed) == size
    while at < len(listed):
        (start,) = struct.unpack("<I", listed[at + 42 : at + 46])
        listed[at + 42 : at + 46] = struct.pack("<i", start - moved)
        at += 46 + sum(struct.unpack("<HHH", listed[at + 28 : at + 34]))
    return first[:end] + second[:second_offset] + bytes(listed) + first[end:]


def one_member_twice() -> bytes:
    """A zip whose second member is the same bytes as its first."""
    packed = zipped(("a", bytes(100)), ("b", bytes(100)))
    at = packed.rindex(b"PK\x01\x02")
    return packed[: at + 42] + bytes(4) + packed[at + 46 :]


TEXT = zipped(("a.txt", b"text"))
HIDDEN = {
    "a tar of PyTorch with a zip behind": tarred(("storages", HOSTILE), ("pickle", HOSTILE)) + TEXT,
    "a member whose name is there twice": zipped(("a", HOSTILE), ("a", b"text")),
    "a member whose name is there twice, the other way": zipped(("a", b"text"), ("a", HOSTILE)),
    "objects of NumPy, escaped": npy("'|\\x4f'"),
    "objects of NumPy, by another name": npy("'object'"),
    "objects of NumPy in a field": npy("[('a', '<i4'), ('b', [('c', '|\\117')])]"),
    "objects of NumPy in an npz": zipped(("a.npy", npy("'|\\x4f'")), compression=zipfile.ZIP_DEFLATED),
    "two streams of zlib": zlib.compress(b"") + zlib.compress(HOSTILE),
}
AMBIGUOUS = {
    "a zip with two lists": two_lists(),
    "a zip behind other bytes": b"#!/bin/sh\n" + TEXT,
    "a zip behind a zip": TEXT + TEXT,
    "a zip before other bytes": TEXT + b"text",
    "a zip with an end in its comment": zipped(("a", b"text"), comment=TEXT[TEXT.rindex(END) :]),
    "a zip with the mark of an end behind": TEXT + END,
    "a zip with a member twice": one_member_twice(),
    "a zip with bytes between": TEXT.replace(b"PK\x01\x02", b"other" + b"PK\x01\x02"),
    "a header of NumPy that is not a literal": npy("str('|O')"),
    "a header of NumPy that is too long": npy("'<i4'," + " " * 60000).replace(
        b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00"
    ),
    "a type that NumPy does not know": npy("'text'"),
}
OTHERS = {
    "comment.zip": zipped(("a.txt", b"text"), comment=b"by hand"),
    "empty.zip": zipped(),
    "folders.zip": zipped(("a/", b""), ("a/b.txt", b"text"), compression=zipfile.ZIP_DEFLATED),
    "numbers.npz": saved(lambda file: np.savez(file, a=np.arange(3), Ozone=np.zeros((2, 2)))),
    "compressed.npz": saved(lambda file: np.savez_compressed(file, a=np.arange(3), b=np.zeros(10**6))),
    "fields.npy": saved(lambda file: np.save(file, np.zeros(2, dtype=[("Ozone", "<f8"), ("b", "U3")]))),
    "text.tar": tarred(("a.txt", b"text")),
    "text.gz": gzip.compress(b"text"),
    "text.zlib": zlib.compress(b"text" * 50000),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_pickle_is_found_in_each_thing_that_a_file_can_be(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(HIDDEN[name])
    assert pickles_in(tmp_path) != []
    assert any(found.endswith(f": {os.system.__module__}.system") for found in dangers_in(tmp_path))


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_readers_could_read_differently_cannot_be_looked_into(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(AMBIGUOUS[name])
    (found,) = pickles_in(tmp_path)
    assert "(cannot be looked into" in found
    assert any("(cannot be looked into" in found for found in dangers_in(tmp_path))


def test_pytorch_reads_the_list_that_python_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(io.BytesIO(two_lists())) as archive:
        assert archive.read("archive/data.pkl") == b"text"
    torch.load(io.BytesIO(two_lists()), weights_only=False)
    assert (tmp_path / "unpickled").exists()


def test_archives_of_frameworks_pass(tmp_path: Path) -> None:
    for name, content in OTHERS.items():
        (tmp_path / name).write_bytes(content)
    assert pickles_in(tmp_path) == []
    (tmp_path / "weights.pt").write_bytes(saved(partial(torch.save, torch.nn.Linear(2, 1).state_dict())))
    assert dangers_in(tmp_path) == []


@pytest.mark.parametrize(
    "pack",
    [
        partial(gzip.compress, compresslevel=1),
        bz2.compress,
        partial(lzma.compress, preset=0),
        lambda content: zipped(("a", content), compression=zipfile.ZIP_DEFLATED),
        lambda content: zlib.compress(content, 1),
    ],
    ids=["gzip", "bz2", "xz", "zip", "zlib"],
)
@pytest.mark.parametrize("begins", [b"text", b"\x8e" + struct.pack("<Q", 2**40)], ids=["text", "a long value"])
def test_what_unpacks_to_too_much_is_refused_in_little_memory(
    pack: Callable[[bytes], bytes], begins: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_infer.models.trust.archives._MOST_BYTES", 2**23)
    (tmp_path / "notes.txt").write_bytes(pack(begins + bytes(2**24)))
    tracemalloc.start()
    try:
        (found,) = pickles_in(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()
    assert found == "notes.txt (cannot be looked into: unpacks to more than what is looked at)"


def test_what_members_unpack_to_counts_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_infer.models.trust.archives._MOST_BYTES", 2**20)
    members: Sequence[tuple[str, bytes]] = [(str(number), bytes(2**18)) for number in range(5)]
    (tmp_path / "four.zip").write_bytes(zipped(*members[:4], compression=zipfile.ZIP_DEFLATED))
    assert pickles_in(tmp_path) == []
    (tmp_path / "five.zip").write_bytes(zipped(*members, compression=zipfile.ZIP_DEFLATED))
    (found,) = pickles_in(tmp_path)
    assert found.startswith("five.zip (cannot be looked into")
