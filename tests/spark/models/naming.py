"""A pyfunc that answers each row with the names and values it was given; MLflow runs this file to make the model."""

from typing import Any

import mlflow
from mlflow.pyfunc.model import PythonModel


class Naming(PythonModel):
    """Answers ``'a'=1.0, 'b'=2.0``, or ``0=1.0, 1=2.0`` where the names are numbers; inference parameters come last."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        rows = zip(*(model_input[name].tolist() for name in model_input), strict=True)
        pairs: list[list[Any]] = [list(zip(model_input.columns, row, strict=True)) for row in rows]
        more = list((params or {}).items())
        return [", ".join(f"{name!r}={value!r}" for name, value in [*row, *more]) for row in pairs]


mlflow.models.set_model(Naming())
