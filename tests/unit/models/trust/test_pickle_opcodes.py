"""Pickles that Python's unpickler reads and `pickletools` does not are found; texts that look like them pass."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_infer.models.trust.pickle_scan import dangers_in
from spark_infer.models.trust.pickles import pickles_in


class Hostile:
    """Leaves a file where it was unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch unpickled",)


class Reader(pickle.Unpickler):
    """Takes each persistent name, as a framework may."""

    def persistent_load(self, name: object) -> object:
        return name


BEGINNINGS = {
    "an integer with a zero byte": b"I5\0zz\n0",
    "a number with a zero byte": b"F1.5\0zz\n0",
    "a long integer with a zero byte": b"L5\0zz\n0",
    "an integer of base 16": b"I 0x1F\n0",
    "an integer of base 8": b"I010\0\n0",
    "a long integer with underscores": b"L1_0L\n0",
    "infinity with a zero byte": b"F-Infinity\0\n0",
    "a place with a zero byte": b"Np0\0zz\n0",
    "a read place with a zero byte": b"Np0\n0g0\0zz\n0",
    "text that is not ASCII": "Vä\n0".encode(),
    "bytes that are not ASCII": b"S'\xe4'\n0",
    "a persistent name with a backslash": b"P\\x\n0",
    "a name with a backslash": b"N0cos\nsystem\n0",
    "an integer in a pickle before": b"I5\0zz\n.",
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_pickle_that_begins_with_what_pickletools_does_not_read_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = BEGINNINGS[name] + pickle.dumps(Hostile(), 0)
    (tmp_path / "notes.txt").write_bytes(content)
    assert pickles_in(tmp_path) == ["notes.txt"]
    (found,) = dangers_in(tmp_path)
    assert found.startswith("notes.txt")
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO(content)
    while not (tmp_path / "unpickled").exists():
        Reader(file, encoding="latin-1").load()  # so it would have been


def test_such_a_number_behind_a_harmless_pickle_ends_a_scan(tmp_path: Path) -> None:
    harmless = pickle.dumps(Path("a"))
    (tmp_path / "notes.txt").write_bytes(harmless + b"I5\0zz\n0" + pickle.dumps(Hostile(), 0))
    assert dangers_in(tmp_path) == ["notes.txt (cannot be scanned to its end)"]


TEXTS = {
    "labels.txt": b"Iris\ncat\ndog\nRabbit\nbird\n",
    "sexes.csv": b"F\nM\n",
    "numbers.csv": b"F1.5\nI7\n",
    "names.txt": "cöl\nname\nRudi\n".encode(),
    "quotes.txt": b"S'a'\nS'b'\n",
    "notes.md": b"N\n(cos\nsystem\n",
    "model.txt": b"tree\nversion=v4\nnum_class=1\n",
    "model.json": b'{"learner":{"attributes":{}}}',
    "line.txt": b"V" + b"a" * 200_000 + b"\n",
    "plain values.txt": pickle.dumps({"a": [1, "b", None]}, 0),
    "data.onnx": b"\x08\x07\x12\x0cskl2onnx\x1a\x04" + bytes(range(256)),
    "data.parquet": b"PAR1" + bytes(range(256)) + b"PAR1",
    "image.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "model.safetensors": (60).to_bytes(8, "little")
    + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(64),
}


def test_texts_and_other_formats_are_not_pickles(tmp_path: Path) -> None:
    for name, content in TEXTS.items():
        (tmp_path / name).write_bytes(content)
    assert pickles_in(tmp_path) == []
    assert dangers_in(tmp_path) == []


def test_a_value_that_is_longer_than_its_file_ends_the_search(tmp_path: Path) -> None:
    for power in range(16, 64):
        content = b"\x8e" + (2**power).to_bytes(8, "little") + bytes(70_000)
        (tmp_path / f"{power}.bin").write_bytes(content)
        with zipfile.ZipFile(tmp_path / f"{power}.zip", "w") as archive:
            archive.writestr("weights", content)
    assert pickles_in(tmp_path) == []
    assert dangers_in(tmp_path) == []


def test_a_long_value_is_passed_over(tmp_path: Path) -> None:
    value = b"\x8e" + (2**17).to_bytes(8, "little") + bytes(2**17) + b"0"
    (tmp_path / "notes.txt").write_bytes(value + pickle.dumps(Hostile(), 0))
    assert pickles_in(tmp_path) == ["notes.txt"]


def test_a_pickle_of_protocol_2_or_later_is_found_by_how_it_begins(tmp_path: Path) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / f"{protocol}.pkl").write_bytes(pickle.dumps({"a": 1}, protocol))
    assert len(pickles_in(tmp_path)) == pickle.HIGHEST_PROTOCOL - 1
