"""A pyfunc that returns how it was configured; MLflow runs this file to make the model."""

import os

import mlflow
from mlflow.pyfunc.model import PythonModel


class Says(PythonModel):
    """Says its configuration, and whether it has the token that it needs."""

    def load_context(self, context):  # type: ignore[no-untyped-def]
        self.token = os.environ["SPARK_INFER_TEST_TOKEN"]

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        known = os.environ["SPARK_INFER_TEST_TOKEN"] == self.token
        return [f"{context.model_config['alpha']} {len(self.token)} {known}"] * len(model_input)


mlflow.models.set_model(Says())
