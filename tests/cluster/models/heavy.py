"""A pyfunc that holds 1.5 GB and notes its loads; MLflow runs this file to make the model."""

import os
from pathlib import Path

import mlflow
import numpy as np
from mlflow.pyfunc.model import PythonModel


class Heavy(PythonModel):
    """Returns twice its input, and appends the process of each load to a file."""

    def load_context(self, context):  # type: ignore[no-untyped-def]
        self.weights = np.full(1_500_000_000 // 8, 2.0)
        log = Path(context.artifacts["log"]).read_text().strip()
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return model_input["x"] * self.weights[-1]


mlflow.models.set_model(Heavy())
