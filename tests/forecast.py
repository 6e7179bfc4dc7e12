"""A model that sorts its rows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema

DAYS = pd.date_range("2024-03-01", periods=6)


class Forecast(PythonModel):
    """Returns its rows in the order of time with labels from 0 on, as `prophet.Prophet.predict` does."""

    def __init__(self, *, picky: bool = False) -> None:
        self._picky = picky

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        if self._picky and (model_input["ds"] < DAYS[0]).any():
            raise ValueError("the history begins later")
        rows = model_input.sort_values("ds").reset_index(drop=True)
        return pd.DataFrame({"ds": rows["ds"], "yhat": (rows["ds"] - DAYS[0]).dt.days * 1.5})


def save_forecast(folder: Path, model: Forecast, **more: Any) -> str:
    """Save a model, and return its folder."""
    outputs = Schema([ColSpec("datetime", "ds"), ColSpec("double", "yhat")])
    signature = ModelSignature(Schema([ColSpec("datetime", "ds")]), outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(folder, python_model=model, signature=signature, pip_requirements=["pandas"], **more)
    return str(folder)
