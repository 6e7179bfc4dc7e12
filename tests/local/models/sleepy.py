"""A pyfunc that hangs on purpose; MLflow runs this file to make the model."""

import ctypes
import time

import mlflow
from mlflow.pyfunc.model import PythonModel


def sleep_for_ever() -> None:
    """Sleep as Python does."""
    time.sleep(3600)


def sleep_for_ever_in_c() -> None:
    """Sleep with Python's lock held."""
    ctypes.PyDLL(None).sleep(3600)


class Sleepy(PythonModel):
    """Returns its input."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        if (model_input["x"] == 900.0).any():
            sleep_for_ever()
        if (model_input["x"] == 901.0).any():
            sleep_for_ever_in_c()
        return model_input["x"]


mlflow.models.set_model(Sleepy())
