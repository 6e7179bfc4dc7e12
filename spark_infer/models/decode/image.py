"""Images by Pillow; the only file that imports it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from spark_infer.config.decode import ImageDecoding
from spark_infer.models.decode.encoded import UndecodableFileError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded: others of Pillow's start programs (EPS), or are seldom looked at by anyone."""

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB")
"""Modes of at most eight bits a channel, which Pillow converts by a rule; it would cut off the rest of others."""

_MOST_BITS = 8


class DecodedRows:
    """The decoded images of one batch.

    Args:
        how: How they are decoded.
        rows: How many there are.
    """

    def __init__(self, how: ImageDecoding, rows: int) -> None:
        self._how = how
        self._resample = Image.Resampling[how.resample.upper()]
        self._numbers = np.empty((rows, *how.shape), how.dtype)
        self._next = 0

    def add(self, content: bytes) -> None:
        """Decode an image into the next row."""
        how = self._how
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        except UnidentifiedImageError:
            raise UndecodableFileError(f"it is not an image of a known format ({', '.join(FORMATS)})") from None
        with image:
            if image.width * image.height > how.max_pixels:
                raise UndecodableFileError(
                    f"it has {image.width:,} x {image.height:,} pixels, and `max_pixels` is {how.max_pixels:,}"
                )
            if image.mode not in _MODES:
                raise UndecodableFileError(f"its pixels are of mode {image.mode}, which {how.mode} cannot hold")
            if (bits := _bits(image)) > _MOST_BITS:
                raise UndecodableFileError(f"it has {bits} bits a channel, and {how.mode} holds {_MOST_BITS}")
            found = image.convert(how.mode)
        height, width = how.size
        if found.size != (width, height):
            found = found.resize((width, height), self._resample)
        self._numbers[self._next] = self._row(np.asarray(found))
        self._next += 1

    def _row(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        how = self._how
        numbers = pixels.reshape((*pixels.shape[:2], how.channels))
        numbers = numbers if how.dtype == "uint8" else _scaled(numbers, how)
        ordered = numbers.transpose(2, 0, 1) if how.layout == "CHW" else numbers
        return ordered.reshape(how.shape)

    def skip(self) -> None:
        """Leave a row as it is."""
        self._next += 1

    def column(self) -> pa.Array:
        """Return the rows as arrays of fixed sizes, one in the other as the layout has them; copies nothing."""
        column = pa.array(self._numbers.reshape(-1))
        for size in reversed(self._how.shape):
            column = pa.FixedSizeListArray.from_arrays(column, size)
        return column


def _bits(image: ImageFile.ImageFile) -> int:
    """How many bits a channel has in the file; the mode is that of Pillow's memory, with eight for more."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))
    layout = image.tile[0].args if image.tile else None
    if image.format == "PNG" and isinstance(layout, str):
        return 16 if ";16" in layout else 8
    if image.format == "PPM" and isinstance(layout, tuple):
        return int(layout[1]).bit_length()
    return 8


def _scaled(pixels: npt.NDArray[np.uint8], how: ImageDecoding) -> npt.NDArray[np.float32]:
    """From 0 to 1, then normalized: the same operations in the same order as torchvision's `Normalize`, bit for bit."""
    numbers: npt.NDArray[np.float32] = pixels.astype(np.float32) / np.float32(255)
    if how.mean:
        numbers -= np.array(how.mean, np.float32)
    if how.std:
        numbers /= np.array(how.std, np.float32)
    return numbers
