"""How encoded images or sounds, in a column or in files that a column names, become numbers for the model."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from spark_infer.config.frozen import ColumnName, Frozen, PathText, rule
from spark_infer.config.places import without_credentials

MOST_PIXELS = 89_478_485
"""Pillow's own bound between an image and a decompression bomb."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _full(root: str) -> str:
    return root if _URI.match(root) else os.path.abspath(root)


def _twice(given: Any) -> Any:
    return (given, given) if isinstance(given, str | int) else given


def _listed(given: Any) -> Any:
    return (given,) if isinstance(given, str | int | float) else given


Side = Annotated[int, Field(ge=1, le=65_536)]
Root = Annotated[PathText, AfterValidator(without_credentials), AfterValidator(_full)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_listed)]


class Encoded(Frozen):
    """Where the encoded bytes are, and where the numbers go."""

    column: ColumnName = Field(
        default="content",
        description="A binary column with the encoded bytes; or, with `root`, a column of paths that workers open.",
    )
    root: Root | None = Field(
        default=None,
        description="For a column of paths: the folder or URI that they lie below. A path that leads out of it makes "
        "its row a bad row.",
    )
    output: ColumnName | None = Field(
        default=None,
        description="Name of the column of numbers that the model gets; without it, they stand in place of `column`.",
    )
    max_bytes: int = Field(default=64 * 2**20, ge=1, description="Most bytes of an encoded file; more are a bad row.")

    @property
    def name(self) -> str:
        """The column of numbers."""
        return self.output or self.column


class ImageDecoding(Encoded):
    """Images, decoded with Pillow: BMP, GIF (the first picture), JPEG, PNG, PPM, TIFF and WebP.

    Example:
        >>> ImageDecoding(size=28, mode="L").shape
        (1, 28, 28)
    """

    size: Annotated[tuple[Side, Side], BeforeValidator(_twice)] = Field(
        description="Height and width to resize to; one number for both."
    )
    mode: Literal["L", "RGB"] = Field(default="RGB", description="`RGB`, or `L` for grey.")
    layout: Literal["CHW", "HWC", "HW", "flat"] = Field(
        default="CHW",
        description="Order of the numbers: `CHW`, channels first, as PyTorch has them; `HWC`, channels last; `HW`, "
        "without channels, for grey; `flat`, one row of numbers, channels last.",
    )
    dtype: Literal["float32", "uint8"] = Field(
        default="float32", description="`float32`, from 0 to 1 and then `mean` and `std`; or `uint8`, from 0 to 255."
    )
    mean: Numbers = Field(default=(), description="What is subtracted: a number, or one for each channel.")
    std: Numbers = Field(default=(), description="What it is divided by after that: a number, or one for each channel.")
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = Field(
        default="bilinear", description="How Pillow resizes; images of the right size stay as they are."
    )
    max_pixels: int = Field(
        default=MOST_PIXELS, ge=1, le=MOST_PIXELS, description="Most pixels of an encoded image; more are a bad row."
    )

    @property
    def channels(self) -> int:
        """How many numbers a pixel has."""
        return 1 if self.mode == "L" else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        height, width = self.size
        return {
            "CHW": (self.channels, height, width),
            "HWC": (height, width, self.channels),
            "HW": (height, width),
            "flat": (height * width * self.channels,),
        }[self.layout]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, decoded."""
        height, width = self.size
        return height * width * self.channels * (4 if self.dtype == "float32" else 1)

    @rule("mode", "layout")
    @staticmethod
    def _only_grey_has_no_channels(mode: str, layout: str) -> str:
        return "`layout: HW` has no channels, and goes with `mode: L` alone" if (mode, layout) == ("RGB", "HW") else ""

    @rule("mode", "dtype", "mean", "std")
    @staticmethod
    def _scaling_fits(mode: str, dtype: str, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
        if dtype == "uint8" and (mean or std):
            return "`mean` and `std` go with `dtype: float32` alone"
        if not all(std) or any(len(each) not in (0, 1, 1 if mode == "L" else 3) for each in (mean, std)):
            return f"`mean` and `std` are a number or {1 if mode == 'L' else 3} numbers each, and `std` is not 0"
        return ""


class AudioDecoding(Encoded):
    """Sounds, decoded with soundfile: WAV, FLAC and what else libsndfile reads; one channel of float32.

    Example:
        >>> AudioDecoding(sampling_rate=16000, seconds=2).samples
        32000
    """

    sampling_rate: int = Field(ge=1, le=768_000, description="Samples in a second that the model takes.")
    resample: bool = Field(
        default=False,
        description="Whether sounds of another rate are resampled (with scipy); without it they are bad rows.",
    )
    seconds: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Make all of one length: what is longer is cut off at the end, what is shorter gets silence.",
    )
    max_seconds: float = Field(
        default=60.0, gt=0, le=3_600, description="Longest sound; a longer one is a bad row. Decides the batches."
    )

    @property
    def samples(self) -> int | None:
        """The numbers of a row, where all have as many."""
        return None if self.seconds is None else max(1, round(self.seconds * self.sampling_rate))

    @property
    def row_bytes(self) -> int:
        """The most bytes of one row, decoded."""
        return 4 * (self.samples or round(self.max_seconds * self.sampling_rate) + 1)


class DecodeOptions(Frozen):
    """Decode images or sounds before everything else is done to a row."""

    image: ImageDecoding | None = Field(default=None, description="How images are decoded.")
    audio: AudioDecoding | None = Field(default=None, description="How sounds are decoded.")

    @rule("image", "audio")
    @staticmethod
    def _one_kind(image: ImageDecoding | None, audio: AudioDecoding | None) -> str:
        return "" if (image is None) != (audio is None) else "give either `image` or `audio`"

    @property
    def how(self) -> ImageDecoding | AudioDecoding:
        """The one that is given."""
        found = self.image or self.audio
        assert found is not None
        return found
