"""Sounds become samples of one channel at one rate; what is of another rate or too long is named."""

from __future__ import annotations

import io
import struct
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from spark_infer.config.decode import DecodeOptions
from spark_infer.errors import UndecodableError
from spark_infer.models.decode.decoding import compile_decode, decoded_schema

RATE = 8_000
SOUND = np.sin(np.arange(RATE, dtype=np.float64) / 20).astype(np.float32)


def encoded(samples: Any = SOUND, rate: int = RATE, kind: str = "WAV", subtype: str = "FLOAT") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def decoded(*contents: bytes, **audio: Any) -> pa.Array:
    options = DecodeOptions(audio={"sampling_rate": RATE, **audio})
    batch = pa.RecordBatch.from_pydict({"content": pa.array(contents, pa.binary())})
    found = compile_decode(options)(batch)
    assert found.schema == decoded_schema(batch.schema, options)
    return found.column("content")


def of_rate(rate: int) -> bytes:
    """A sound of 100 samples whose header says this rate."""
    content = encoded(SOUND[:100], subtype="PCM_16")
    return content[:24] + struct.pack("<I", rate) + content[28:]


def test_samples_are_those_of_the_file_and_channels_are_averaged() -> None:
    two = np.stack([SOUND, -SOUND / 2], axis=1)
    whole, flac, both = decoded(encoded(), encoded(kind="FLAC", subtype="PCM_16"), encoded(two))
    assert np.array_equal(whole.values.to_numpy(), SOUND)
    assert np.allclose(flac.values.to_numpy(), SOUND, atol=2**-15)
    assert np.array_equal(both.values.to_numpy(), two.mean(axis=1))


def test_sounds_of_one_length_are_cut_or_padded() -> None:
    column = decoded(encoded(), encoded(SOUND[:100]), seconds=0.5)
    assert column.type == pa.list_(pa.float32(), 4_000)
    long, short = column.flatten().to_numpy().reshape(2, -1)
    assert np.array_equal(long, SOUND[:4_000])
    assert np.array_equal(short, np.pad(SOUND[:100], (0, 3_900)))


def test_a_sound_of_another_rate_is_resampled_where_that_is_asked_for() -> None:
    times = np.arange(2 * RATE) / (2 * RATE)
    found = decoded(encoded(np.sin(times * 440), 2 * RATE), resample=True)[0].values.to_numpy()
    assert len(found) == RATE
    assert np.allclose(found[100:-100], np.sin(times[::2] * 440)[100:-100], atol=1e-3)


@pytest.mark.parametrize("rate", [44_100, 11_025, 48_000, 44_056, 192_000, 22_255])
def test_rates_that_are_in_use_are_resampled(rate: int) -> None:
    found = decoded(encoded(SOUND, rate), sampling_rate=16_000, resample=True)
    assert len(found[0]) == -(-RATE * 16_000 // rate)


def test_a_sound_that_was_written_to_a_pipe_does_not_know_its_size() -> None:
    content = encoded(SOUND[:100], subtype="PCM_16")
    for size in (2**32 - 1, 2**31 - 1, 2**31 - 2**12):
        [samples] = decoded(content[:40] + struct.pack("<I", size) + content[44:])
        assert len(samples) == 100


@pytest.mark.parametrize(
    ("kind", "content", "is_cut"), [("MP3", b"ID3 Xing", True), ("MP3", b"ID3", False), ("CAF", b"caff", True)]
)
def test_fewer_samples_than_a_file_says_are_a_bad_row_and_than_libsndfile_estimates_are_none(
    kind: str, content: bytes, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half(AbstractContextManager[Any]):
        frames, channels, samplerate, format, extra_info = 2 * RATE, 1, RATE, kind, ""

        def __init__(self, _: io.BytesIO) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

        def read(self, **_: Any) -> Any:
            return SOUND.reshape(-1, 1)

    monkeypatch.setattr(soundfile, "SoundFile", Half)
    if is_cut:
        with pytest.raises(UndecodableError, match="it has 8,000 of the 16,000 samples that it says"):
            decoded(content)
    else:
        assert np.array_equal(decoded(content)[0].values.to_numpy(), SOUND)


@pytest.mark.parametrize(
    ("content", "audio", "reason"),
    [
        (b"secret", {}, "damaged, or of a format"),
        (encoded(rate=16_000), {}, "16,000 samples a second"),
        (encoded(), {"max_seconds": 0.5}, "1.0 seconds, and `max_seconds` is 0.5"),
        (encoded(), {"max_bytes": 100}, "`max_bytes` is 100"),
        (encoded(subtype="PCM_16")[:8_000], {}, "it is cut off"),
        (encoded(subtype="PCM_16")[:44], {}, "it is cut off"),
        (encoded(kind="AIFF", subtype="PCM_16")[:8_000], {}, "it is cut off"),
        (encoded(kind="AU", subtype="PCM_16")[:8_000], {}, "it is cut off"),
        (encoded(kind="FLAC", subtype="PCM_16")[:2_000], {}, "damaged"),
        (encoded(SOUND[:0]), {}, "it has no samples"),
        (of_rate(2_000_000_011), {"resample": True}, "too odd to resample"),
        (of_rate(5_000_011), {"resample": True}, "too odd to resample"),
    ],
    ids=["text", "rate", "long", "large", "cut", "header", "aiff", "au", "flac", "empty", "odd", "odd rate"],
)
def test_what_cannot_be_decoded_is_named(content: bytes, audio: dict[str, Any], reason: str) -> None:
    with pytest.raises(UndecodableError) as raised:
        decoded(content, **audio)
    assert reason in raised.value.reasons[0][1]
    assert "secret" not in str(raised.value)
