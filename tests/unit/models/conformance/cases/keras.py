"""Keras, which MLflow's own pyfunc serves; here on torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

from tests.unit.models.conformance.case import Case


def network(folder: Path) -> Any:
    os.environ["KERAS_BACKEND"] = "torch"  # Keras reads it when it is imported
    import keras

    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    X = np.linspace(-1, 1, 36, dtype=np.float32).reshape(12, 3)
    signature = infer_signature(X, model.predict(X, verbose=0))
    mlflow.keras.save_model(model, str(folder), signature=signature, pip_requirements=["keras", "torch"])
    return pd.DataFrame({"numbers": list(X)})


CASES = [
    Case(
        name="two layers, on torch",
        save=network,
        backend="pyfunc",
        because="no native backend for flavor keras",
        rtol=1e-5,
        options=(("inputs", ("numbers",)),),
    )
]
