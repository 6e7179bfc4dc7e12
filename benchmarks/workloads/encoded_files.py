"""Encoded images and sounds in a binary column, and a small network for each."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa

from benchmarks.encoded import RATE, SECONDS, decoded
from benchmarks.workload import SEED
from benchmarks.workloads.spec import Columns, Random, Spec, how

SIDES = (96, 128, 160, 224, 320, 400)
WORDS = 12


def _photos(random: Random, rows: int) -> Columns:
    """Cut pieces of several sizes out of scikit-learn's two photos, and write them as JPEG."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    contents = []
    for number in range(rows):
        photo, side = photos[number % 2], int(random.choice(SIDES))
        top, left = (int(random.integers(0, size - side + 1)) for size in photo.shape[:2])
        file = io.BytesIO()
        Image.fromarray(photo[top : top + side, left : left + side]).save(file, "JPEG", quality=85)
        contents.append(file.getvalue())
    return {"content": pa.array(contents, pa.binary())}


def _speech(random: Random, rows: int) -> Columns:
    """Have espeak-ng say numbers, and cut what it says to 0.5 to 3 seconds of WAV."""
    import subprocess

    import soundfile
    from scipy.signal import resample_poly

    said: list[Any] = []
    for _ in range(8):
        words = " ".join(str(word) for word in random.integers(0, 100_000, WORDS))
        spoken = subprocess.run(["espeak-ng", "--stdout", words], capture_output=True, check=True).stdout
        samples, rate = soundfile.read(io.BytesIO(spoken), dtype="float32")
        said.append(resample_poly(samples, RATE, rate).clip(-1, 1))
    contents = []
    for number in range(rows):
        samples, length = said[number % len(said)], int(RATE * random.uniform(0.5, 3.0))
        start = int(random.integers(0, len(samples) - length))
        file = io.BytesIO()
        soundfile.write(file, samples[start : start + length], RATE, format="WAV", subtype="PCM_16")
        contents.append(file.getvalue())
    return {"content": pa.array(contents, pa.binary())}


def _image_network(frame: pd.DataFrame, random: Random, share: float) -> Any:
    """Four convolutions, untrained: what they compute costs the same."""
    import torch

    torch.manual_seed(SEED)
    layers = torch.nn
    widths = [3, *(max(2, round(width * share)) for width in (16, 32, 64, 64))]
    steps: list[torch.nn.Module] = []
    for into, out in pairwise(widths):
        steps += [layers.Conv2d(into, out, 3, stride=2, padding=1), layers.ReLU()]
    model = layers.Sequential(*steps, layers.AdaptiveAvgPool2d(1), layers.Flatten(), layers.Linear(widths[-1], 10))
    return _logged(model, frame, "images")


def _speech_network(frame: pd.DataFrame, random: Random, share: float) -> Any:
    """A bank of filters over 25 ms each 10 ms, two convolutions, 64 features: an encoder of speech, untrained."""
    import torch

    torch.manual_seed(SEED)
    layers = torch.nn
    width = max(4, round(64 * share))
    model = layers.Sequential(
        layers.Unflatten(1, (1, RATE * SECONDS)),
        layers.Conv1d(1, width, RATE // 40, stride=RATE // 100),
        layers.ReLU(),
        layers.Conv1d(width, width, 3, stride=2),
        layers.ReLU(),
        layers.Conv1d(width, width, 3, stride=2),
        layers.ReLU(),
        layers.AdaptiveAvgPool1d(1),
        layers.Flatten(),
        layers.Linear(width, 64),
    )
    return _logged(model, frame, "sounds")


def _logged(model: Any, frame: pd.DataFrame, feeds: str) -> Any:
    import torch

    values = decoded(frame["content"][:8], feeds)
    with torch.inference_mode():
        predicted = model(torch.from_numpy(values)).numpy()
    return mlflow.pytorch.log_model(model, **how(values, predicted, "torch", serialization_format="pickle"))


_SHARED: dict[str, Any] = {
    "features": ("content",),
    "outputs": (("prediction", "array<float>"),),
    "dtype": "float32",
    # The shape of a batch decides the order of the sums.
    "tolerance": 1e-5,
    "training_rows": 1_000,
    "batch_rows": 64,
}

SPECS = {
    "W8": Spec(
        title="JPEG images to a small CNN", rows=5_000, columns=_photos, train=_image_network, feeds="images", **_SHARED
    ),
    "W11": Spec(
        title="WAV speech to features", rows=10_000, columns=_speech, train=_speech_network, feeds="sounds", **_SHARED
    ),
}
"""By the name of the workload."""
