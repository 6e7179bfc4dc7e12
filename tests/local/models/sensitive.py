"""A pyfunc whose answer for a row depends on the rows beside it."""

import mlflow
from mlflow.pyfunc.model import PythonModel


class Sensitive(PythonModel):
    """Subtracts the mean of the batch."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return model_input["x"] - model_input["x"].mean()


mlflow.models.set_model(Sensitive())
