"""A pyfunc that raises for 500 and writes down how many rows it gets; MLflow runs this file to make the model."""

import os

import mlflow
from mlflow.pyfunc.model import PythonModel


class Counting(PythonModel):
    """Returns its input."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        with open(os.environ["SPARK_INFER_TEST_ROWS"], "a") as counted:
            counted.write(f"{len(model_input)}\n")
        if (model_input["x"] == 500.0).any():
            raise ValueError("500 is in the batch")
        return model_input["x"]


mlflow.models.set_model(Counting())
