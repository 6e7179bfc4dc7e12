"""Environment variables that a model has while it loads and predicts, and nobody else in its process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from spark_infer.core.buckets import PreparedRows
from spark_infer.core.outputs import Predictions
from spark_infer.models.backends.spec import LoadedModel
from spark_infer.runtime.env_variables import variables_set


class WithVariables:
    """A loaded model whose predict calls have the variables that it was loaded with.

    Args:
        model: The model.
        variables: Name to value.
    """

    def __init__(self, model: LoadedModel, variables: Mapping[str, str]) -> None:
        self._model = model
        self._variables = variables

    def __getattr__(self, name: str) -> Any:
        """Return what only some models have, such as ``by_row``."""
        return getattr(self._model, name)

    @property
    def how(self) -> str:
        """How batches reach the model."""
        return self._model.how

    def outputs(self) -> pa.Schema | None:
        """Columns it returns, where it knows."""
        return self._model.outputs()

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch."""
        with variables_set(self._variables):
            return self._model.predict(inputs)

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        """Prepare rows, where the model does so."""
        with variables_set(self._variables):
            return self._model.prepare(inputs)  # type: ignore[attr-defined,no-any-return]  # of some models

    def predict_prepared(self, rows: pa.RecordBatch) -> Predictions:
        """Predict one batch of prepared rows, where the model does so."""
        with variables_set(self._variables):
            return self._model.predict_prepared(rows)  # type: ignore[attr-defined,no-any-return]  # of some models

    def close(self) -> None:
        """Close the model."""
        with variables_set(self._variables):
            self._model.close()
