"""A model that hangs on purpose."""

from __future__ import annotations

import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature


def save_sleepy(folder: Path) -> str:
    """Save a model that sleeps for ever for 900, and in C with Python's lock held for 901; returns its folder."""
    example = pd.DataFrame({"x": np.arange(3.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).parent / "local" / "models" / "sleepy.py"),
            signature=infer_signature(example, example["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    return str(folder)
