"""Sounds by soundfile; the only file that imports it."""

from __future__ import annotations

import io
import re
from math import gcd

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import soundfile

from spark_infer.config.decode import AudioDecoding
from spark_infer.models.decode.encoded import UndecodableFileError

MOST_SAMPLES = 2**26
"""Of all channels of a file, which are in memory at once."""

MOST_RATIO = 2**16
"""The larger number of the shortened ratio of two rates, to which the time and the memory of resampling grow."""

_CUT = re.compile(r"^\s*(?:data|SSND|BODY|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
"""What libsndfile notes where WAV, AIFF, SVX or AU say another size of their samples than there is."""

_MP3_LENGTH = b"Xing", b"Info"
"""The tags by which an MP3 says how long it is; without one, libsndfile estimates it."""

_UNKNOWN_SIZE = 2**31 - 2**16
"""From here on a size says that the writer did not know it: it wrote to a pipe."""

Samples = npt.NDArray[np.float32]


class DecodedRows:
    """The decoded sounds of one batch.

    Args:
        how: How they are decoded.
        rows: How many there are.

    Raises:
        ImportError: They are to be resampled, and scipy is not installed.
    """

    def __init__(self, how: AudioDecoding, rows: int) -> None:
        self._how = how
        self._rows: list[Samples] = []
        if how.resample:
            from scipy.signal import resample_poly

            self._resampled = resample_poly

    def add(self, content: bytes) -> None:
        """Decode a sound into the next row: the mean of its channels."""
        how = self._how
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            if misfit := _misfit(sound, how):
                raise UndecodableFileError(misfit)
            rate = sound.samplerate
            samples = sound.read(dtype="float32", always_2d=True)
            if len(samples) < sound.frames and (sound.format != "MP3" or any(tag in content for tag in _MP3_LENGTH)):
                raise UndecodableFileError(f"it has {len(samples):,} of the {sound.frames:,} samples that it says")
        samples = samples.mean(axis=1)
        if rate != how.sampling_rate:
            common = gcd(rate, how.sampling_rate)
            samples = self._resampled(samples, how.sampling_rate // common, rate // common)
        self._rows.append(np.asarray(samples, np.float32))

    def skip(self) -> None:
        """Leave a row without samples."""
        self._rows.append(np.empty(0, np.float32))

    def column(self) -> pa.Array:
        """Return the rows as arrays of float32: of one size with `seconds`, else each of its own."""
        size = self._how.samples
        if size is None:
            ends = np.cumsum([0, *map(len, self._rows)])
            joined = np.concatenate(self._rows) if self._rows else np.empty(0, np.float32)
            return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(joined))
        padded = np.zeros((len(self._rows), size), np.float32)
        for row, samples in zip(padded, self._rows, strict=True):
            row[: len(samples)] = samples[:size]
        return pa.FixedSizeListArray.from_arrays(pa.array(padded.reshape(-1)), size)


def _misfit(sound: soundfile.SoundFile, how: AudioDecoding) -> str:
    """Say why a sound is not read, by its header; empty where it is."""
    rate, samples = sound.samplerate, sound.frames * sound.channels
    if any(int(found) < int(said) < _UNKNOWN_SIZE for said, found in _CUT.findall(sound.extra_info)):
        return "it is cut off: it says that it has more samples than there are"
    if not samples:
        return "it has no samples"
    if samples > MOST_SAMPLES:
        return f"it has {samples:,} samples, and at most {MOST_SAMPLES:,} are read"
    if sound.frames > how.max_seconds * rate:
        return f"it has {sound.frames / rate:,.1f} seconds, and `max_seconds` is {how.max_seconds:g}"
    if rate != how.sampling_rate and not how.resample:
        return f"it has {rate:,} samples a second, and `sampling_rate` is {how.sampling_rate:,} without `resample`"
    if max(rate, how.sampling_rate) // gcd(rate, how.sampling_rate) > MOST_RATIO:
        return f"it has {rate:,} samples a second, and the ratio to {how.sampling_rate:,} is too odd to resample"
    return ""
