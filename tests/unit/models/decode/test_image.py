"""Images become the numbers that Pillow and numpy make of them; what is no image is named, with the reason."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from spark_infer.config.decode import DecodeOptions
from spark_infer.core.steps import Step
from spark_infer.errors import ConfigError, SchemaMismatchError, StepFailedError, UndecodableError
from spark_infer.models.decode.decoding import compile_decode, decoded_schema

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


def encoded(pixels: Any = PIXELS, kind: str = "PNG", **how: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels, **how).save(stream, kind)
    return stream.getvalue()


def step(**image: Any) -> Step:
    return compile_decode(DecodeOptions(image=image))


def table(*contents: bytes | None, **columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"content": pa.array(contents, pa.binary()), **columns})


def decoded(*contents: bytes, **image: Any) -> np.ndarray[Any, Any]:
    column = step(**image)(table(*contents)).column("content")
    shape = [len(column)]
    while pa.types.is_fixed_size_list(column.type):
        shape.append(column.type.list_size)
        column = column.flatten()
    numbers: np.ndarray[Any, Any] = column.to_numpy().reshape(shape)
    return numbers


def test_channels_stand_where_the_layout_says() -> None:
    numbers = PIXELS.astype(np.float32) / np.float32(255)
    assert np.array_equal(decoded(encoded(), size=(4, 6), layout="HWC")[0], numbers)
    assert np.array_equal(decoded(encoded(), size=(4, 6), layout="CHW")[0], numbers.transpose(2, 0, 1))
    assert np.array_equal(decoded(encoded(), size=(4, 6), layout="flat")[0], numbers.reshape(-1))
    grey = np.asarray(Image.fromarray(PIXELS).convert("L"))
    assert np.array_equal(decoded(encoded(), size=(4, 6), mode="L", layout="HW", dtype="uint8")[0], grey)


def test_normalized_numbers_are_those_of_the_formula_channel_by_channel() -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = decoded(encoded(), size=(4, 6), layout="HWC", mean=mean, std=std)[0]
    scaled = PIXELS.astype(np.float32) / np.float32(255)
    assert np.array_equal(found, (scaled - np.array(mean, np.float32)) / np.array(std, np.float32))


def test_images_of_other_sizes_and_formats_are_resized_as_pillow_does() -> None:
    large = np.arange(40 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 30, 3)
    for kind in ("PNG", "JPEG", "BMP", "TIFF", "WEBP"):
        content = encoded(large, kind)
        with Image.open(io.BytesIO(content)) as image:
            wanted = np.asarray(image.convert("RGB").resize((7, 5), Image.Resampling.BICUBIC))
        found = decoded(content, size=(5, 7), layout="HWC", dtype="uint8", resample="bicubic")[0]
        assert np.array_equal(found, wanted), kind


def png_of(width: int, height: int, *, bits: int = 8, colours: int = 0) -> bytes:
    """A few bytes whose header promises so many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def tiff_of_16_bits() -> bytes:
    """An image of three channels of 16 bits, which Pillow reads but does not write."""
    entries = [(256, 4, 1), (257, 4, 1), (258, 3, 16), (262, 3, 2), (273, 4, 8), (277, 3, 3), (278, 4, 1), (279, 4, 6)]
    pixels = struct.pack("<3H", 300, 40_000, 65_535)
    bits = struct.pack("<3H", 16, 16, 16)
    head = b"II*\0" + struct.pack("<I", 20) + pixels + bits
    fields = b"".join(
        struct.pack("<HHII", tag, kind, 3 if tag == 258 else 1, 14 if tag == 258 else value)
        for tag, kind, value in entries
    )
    return head + struct.pack("<H", len(entries)) + fields + struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("content", "bits"),
    [
        (png_of(4, 4, bits=16, colours=2), 16),
        (png_of(4, 4, bits=16, colours=4), 16),
        (png_of(4, 4, bits=16, colours=6), 16),
        (b"P6 1 1 65535\n" + struct.pack(">3H", 300, 40_000, 65_535), 16),
        (b"P6 1 1 1000\n" + struct.pack(">3H", 1, 500, 1_000), 10),
        (b"P3 1 1 65535\n300 40000 65535\n", 16),
        (tiff_of_16_bits(), 16),
    ],
    ids=["RGB", "LA", "RGBA", "PPM", "PPM of 1,000", "plain PPM", "TIFF"],
)
def test_channels_of_more_than_eight_bits_are_refused_and_not_cut_off(content: bytes, bits: int) -> None:
    with pytest.raises(UndecodableError, match=f"it has {bits} bits a channel, and RGB holds 8"):
        decoded(content, size=4)


def test_a_portable_pixmap_of_fewer_levels_is_scaled() -> None:
    assert decoded(b"P6 1 1 100\n\x00\x32\x64", size=1, dtype="uint8").reshape(-1).tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("content", "image", "reason"),
    [
        (b"secret text", {}, "not an image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", {}, "not an image of a known format"),
        (encoded()[:50], {}, "damaged"),
        (None, {}, "it is null"),
        (encoded(), {"max_bytes": 20}, "`max_bytes` is 20"),
        (png_of(9_000, 9_000), {"max_pixels": 80_000_000}, "9,000 x 9,000 pixels"),
        (png_of(60_000, 60_000), {}, ""),
        (encoded(np.full((4, 6), 70_000 % 65_536, np.uint16)), {}, "mode I;16"),
    ],
    ids=["text", "program", "cut", "null", "large", "pixels", "bomb", "16 bits"],
)
def test_what_cannot_be_decoded_is_named_without_its_content(
    content: bytes | None, image: dict[str, Any], reason: str
) -> None:
    batch = table(encoded(), content, path=["/data/good.png", "/data/name=Alice/bad.png"])
    with pytest.raises(UndecodableError) as raised:
        step(size=(4, 6), **({"max_bytes": 2**20} | image))(batch if "max_bytes" not in image else batch.slice(1))
    [(row, (name, text))] = raised.value.reasons.items()
    assert row == (0 if "max_bytes" in image else 1)
    assert name == "UndecodableFileError"
    assert text.startswith("/data/name=…/bad.png cannot be decoded: ")
    assert reason in text
    assert text in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "Alice" not in str(raised.value)


def test_all_rows_of_a_batch_that_cannot_be_decoded_are_found_at_once() -> None:
    with pytest.raises(UndecodableError, match="3 of 5 rows") as raised:
        step(size=8)(table(b"", encoded(), b"x", encoded(), b"y"))
    assert [*raised.value.reasons] == [0, 2, 4]


def test_paths_are_opened_below_their_root_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(encoded())
    (tmp_path / "out.png").write_bytes(encoded())
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "out.png")
    how = step(size=(4, 6), column="file", root=str(tmp_path / "in"), output="image", dtype="uint8", layout="HWC")
    good = ["a.png", f"{tmp_path}/in/a.png", f"file://{tmp_path}/in/a.png"]
    found = how(pa.RecordBatch.from_pydict({"file": good}))
    assert np.array_equal(found.column("image").to_pylist(), [PIXELS] * 3)
    assert found.column("file").to_pylist() == good
    for bad in ("../out.png", f"{tmp_path}/out.png", "link.png", "", "missing.png", "a.png\0", None):
        with pytest.raises(UndecodableError) as raised:
            how(pa.RecordBatch.from_pydict({"file": pa.array([bad], pa.string())}))
        assert [*raised.value.reasons] == [0], bad


def test_a_path_where_no_file_is_is_the_fault_of_its_row_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    names = ["folder", "loop", "x" * 300, "x/" * 2_500, "pipe", "socket", "folder/none"]
    how = step(size=4, column="file", root=str(tmp_path))
    signal.alarm(10)  # ends a process that waits
    with pytest.raises(UndecodableError) as raised:
        how(pa.RecordBatch.from_pydict({"file": names}))
    signal.alarm(0)
    assert [*raised.value.reasons] == [*range(len(names))]


def test_a_file_system_that_fails_is_not_the_fault_of_a_row_and_no_path_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def get_file_info(self, place: str) -> None:
            raise OSError(errno.EIO, "no answer")

    monkeypatch.setattr("pyarrow.fs.LocalFileSystem", Broken)
    with pytest.raises(StepFailedError, match="A file that column 'file' names cannot be reached") as raised:
        step(size=4, column="file", root=str(tmp_path))(pa.RecordBatch.from_pydict({"file": ["Alice.png"]}))
    assert "Alice" not in str(raised.value)


def test_the_schema_is_known_before_anything_is_decoded() -> None:
    bytes_ = pa.schema({"content": pa.binary(), "id": pa.int64()})
    options = DecodeOptions(image={"size": (4, 6)})
    schema = decoded_schema(bytes_, options)
    assert schema == step(size=(4, 6))(table(encoded(), id=[1])).schema
    for table_, text in (
        (pa.schema({"contents": pa.binary()}), "did you mean 'contents'"),
        (pa.schema({"content": pa.string()}), "is string, and should be binary"),
    ):
        with pytest.raises(SchemaMismatchError, match=text):
            decoded_schema(table_, options)


@pytest.mark.parametrize(
    "image", [{"layout": "HW"}, {"mean": (1, 2)}, {"std": 0}, {"dtype": "uint8", "mean": 1}, {"size": (0, 1)}]
)
def test_settings_that_do_not_go_together_are_refused(image: dict[str, Any]) -> None:
    with pytest.raises((ValueError, ConfigError)):
        step(**{"size": 8, **image})
