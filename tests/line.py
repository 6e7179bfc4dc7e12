"""A model for jobs whose tables matter more than their models."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from tests.light_skops import import_skops


def save_line(folder: Path, slope: float = 2.0) -> str:
    """Save a model that doubles ``x`` (or multiplies it by another slope), and return its folder."""
    import_skops()
    rows = pd.DataFrame({"x": np.arange(20.0)})
    model = LinearRegression().fit(rows, slope * rows.x)
    mlflow.sklearn.save_model(
        model, folder, signature=infer_signature(rows, model.predict(rows)), pip_requirements=["scikit-learn"]
    )
    return str(folder)
