"""A pyfunc that needs a module which only a packed environment has; MLflow runs this file to make the model."""

import importlib

import mlflow
from mlflow.pyfunc.model import PythonModel


class Packed(PythonModel):
    """Multiplies by the factor of that module."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        factor = importlib.import_module("only_packed").FACTOR
        return model_input["x"] * factor


mlflow.models.set_model(Packed())
