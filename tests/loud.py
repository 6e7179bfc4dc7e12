"""A model that prints in every way, and whose libraries do."""

from __future__ import annotations

import warnings
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import infer_signature

MODEL = """
import logging
import sys
import warnings

import mlflow
from tqdm import tqdm


class Loud(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        warnings.warn("LOUD warning while loading")

    def predict(self, context, model_input, params=None):
        warnings.warn("LOUD warning")
        logging.getLogger("framework").warning("LOUD log")
        for _ in tqdm(range(2), desc="LOUD bar"):
            pass
        print("LOUD print")
        print("LOUD print to stderr", file=sys.stderr)
        return model_input["x"] * 2


mlflow.models.set_model(Loud())
"""


def save_loud(folder: Path) -> str:
    """Save a model that doubles ``x`` loudly, and return its folder."""
    (folder / "loud.py").write_text(MODEL)
    rows = pd.DataFrame({"x": [0.0, 1.0], "y": [0, 1]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder / "model",
            python_model=str(folder / "loud.py"),
            signature=infer_signature(rows, rows["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    return str(folder / "model")
