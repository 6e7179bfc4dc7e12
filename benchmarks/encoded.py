"""Encoded images and sounds into the numbers that a network takes, as an expert would write it by hand."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 128
RATE, SECONDS = 16_000, 2

DECODE: dict[str, dict[str, Any]] = {
    "images": {"image": {"size": SIDE}},
    "sounds": {"audio": {"sampling_rate": RATE, "seconds": SECONDS}},
}
"""What a workload feeds to its model, and the option `decode` that makes the same numbers."""


def decoded(contents: Iterable[bytes], feeds: str) -> npt.NDArray[np.float32]:
    """Decode the files of one batch: one row of the tensor for each."""
    decode = _DECODERS[feeds]
    return np.stack([decode(content) for content in contents])


def _image(content: bytes) -> npt.NDArray[np.float32]:
    from PIL import Image

    image = Image.open(io.BytesIO(content)).convert("RGB")
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    numbers: npt.NDArray[np.float32] = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return numbers


def _sound(content: bytes) -> npt.NDArray[np.float32]:
    with wave.open(io.BytesIO(content)) as sound:
        found = np.frombuffer(sound.readframes(RATE * SECONDS), np.int16)
    samples = np.zeros(RATE * SECONDS, np.float32)
    samples[: len(found)] = found / np.float32(2**15)
    return samples


_DECODERS: dict[str, Callable[[bytes], npt.NDArray[np.float32]]] = {"images": _image, "sounds": _sound}
