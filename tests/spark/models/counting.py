"""A pyfunc that writes down each load and each predict; MLflow runs this file to make the model."""

import os
from pathlib import Path

import mlflow
from mlflow.pyfunc.model import PythonModel


class Counting(PythonModel):
    """Returns twice its input, and appends ``load PID`` and ``predict PID ROWS`` to a file."""

    def load_context(self, context):  # type: ignore[no-untyped-def]
        self.log = Path(context.artifacts["log"]).read_text().strip()
        self._note(f"load {os.getpid()}")

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        self._note(f"predict {os.getpid()} {len(model_input)}")
        return model_input["x"] * 2.0

    def _note(self, line: str) -> None:
        with open(self.log, "a") as log:
            log.write(line + "\n")


mlflow.models.set_model(Counting())
