"""Any MLflow model through its pyfunc: the reference that every native backend is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from mlflow.pyfunc import PyFuncModel, load_model

from spark_infer.core.outputs import Predictions
from spark_infer.models.backends import LoadSpec
from spark_infer.models.backends.frame import to_model_input, to_predictions


def load(spec: LoadSpec, folder: Path) -> PyfuncModel:
    """Load a model the way ``mlflow.pyfunc.load_model`` does."""
    return PyfuncModel(load_model(str(folder), suppress_warnings=True), spec)


class PyfuncModel:
    """A pyfunc fed with pandas frames or numpy arrays."""

    how = "pyfunc: batches go through pandas"

    def __init__(self, model: PyFuncModel, spec: LoadSpec) -> None:
        self._model: PyFuncModel | None = model
        self._binding = spec.binding
        self._params: dict[str, Any] | None = dict(spec.params) or None

    def outputs(self) -> pa.Schema | None:
        """A pyfunc knows its outputs by its signature alone."""
        return None

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch through ``PyFuncModel.predict``, signature enforcement included."""
        assert self._model is not None
        return to_predictions(self._model.predict(to_model_input(inputs, self._binding), params=self._params))

    def close(self) -> None:
        """Let go of the model."""
        self._model = None
