"""A small neural network with an array in and an array out."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.workload import SEED
from benchmarks.workloads.spec import Columns, Random, Spec, how

INPUTS, HIDDEN, OUTPUTS = 128, 512, 10


def _columns(random: Random, rows: int) -> Columns:
    values = random.normal(size=rows * INPUTS).astype(np.float32)
    offsets = np.arange(0, len(values) + 1, INPUTS, dtype=np.int32)
    return {"features": pa.ListArray.from_arrays(offsets, values)}


def _mlp(frame: pd.DataFrame, random: Random, share: float) -> Any:
    """Three layers, untrained: what they compute costs the same."""
    import torch

    torch.manual_seed(SEED)
    hidden = round(HIDDEN * share)
    layers = torch.nn
    model = layers.Sequential(
        layers.Linear(INPUTS, hidden),
        layers.ReLU(),
        layers.Linear(hidden, hidden),
        layers.ReLU(),
        layers.Linear(hidden, OUTPUTS),
    )
    values = np.stack(frame["features"])
    with torch.inference_mode():
        predicted = model(torch.from_numpy(values)).numpy()
    return mlflow.pytorch.log_model(model, **how(values, predicted, "torch", serialization_format="pickle"))


SPECS = {
    "W6": Spec(
        title="torch network, array in and out",
        rows=500_000,
        columns=_columns,
        features=("features",),
        train=_mlp,
        outputs=(("prediction", "array<float>"),),
        feeds="tensor",
        dtype="float32",
        # The shape of a batch decides the order of the sums.
        tolerance=1e-5,
        training_rows=1_000,
    )
}
"""By the name of the workload."""
