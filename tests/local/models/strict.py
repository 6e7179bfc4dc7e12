"""A pyfunc that raises for 500 and above; MLflow runs this file to make the model."""

import mlflow
from mlflow.pyfunc.model import PythonModel


class Strict(PythonModel):
    """Returns its input."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        if (model_input["x"] >= 500.0).any():
            raise ValueError("more than 500 is in the batch")
        return model_input["x"]


mlflow.models.set_model(Strict())
