"""A pyfunc that raises for 500 and kills its own process for 700; MLflow runs this file to make the model."""

import os
import signal

import mlflow
from mlflow.pyfunc.model import PythonModel


class Moody(PythonModel):
    """Returns its input."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        print("a model that prints")  # noqa: T201
        if (model_input["x"] == 500.0).any():
            raise ValueError("500 is in the batch")
        if (model_input["x"] == 700.0).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return model_input["x"]


mlflow.models.set_model(Moody())
