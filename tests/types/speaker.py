"""A pyfunc that returns every shape at once; MLflow runs this file to make the model."""

import mlflow
from mlflow.pyfunc.model import PythonModel

from tests.types.shapes import SHAPES


class Speaker(PythonModel):
    """Returns a dict: output -> one value for each row, in the container of its shape."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        rows = model_input["row"].tolist()
        return {shape.name: shape.returned(rows) for shape in SHAPES}


mlflow.models.set_model(Speaker())
