"""A pyfunc on the stand-in; it notes its loads and its end, and MLflow runs this file to make the model."""

import os
from importlib import import_module
from pathlib import Path

import mlflow
from mlflow.pyfunc.model import PythonModel


class OnGpu(PythonModel):
    """Returns the device that its framework sees and its process; what it is given may make it fail."""

    def load_context(self, context):  # type: ignore[no-untyped-def]
        self.seen = import_module("standin").SEEN
        self.log = Path(context.artifacts["log"]).read_text().strip()
        self._note("load")

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        x = model_input["x"].iloc[0]
        if x == -1:
            raise ValueError(f"x is {x}")
        if x == -2:
            os._exit(3)
        return model_input["x"].map(lambda _: f"{self.seen} {os.getpid()}")

    def __del__(self):  # type: ignore[no-untyped-def]
        if hasattr(self, "log"):
            self._note("close")

    def _note(self, what: str) -> None:
        with open(self.log, "a") as log:
            log.write(f"{what} {self.seen} {os.getpid()}\n")


mlflow.models.set_model(OnGpu())
