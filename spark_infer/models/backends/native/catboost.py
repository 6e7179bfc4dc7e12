"""CatBoost models of every class, without MLflow in the worker, and without pandas where all features are numbers.

CatBoost computes in float32 whatever it is given, so one float32 matrix holds all it would see of a pandas frame: the
answers equal the pyfunc's to the last bit. It takes the columns of a frame by the names it was trained on, and those of
a matrix by position, so the matrix is laid out by these names. Models with categories, texts or embeddings get a frame.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spark_infer.core.outputs import Predictions
from spark_infer.models.backends.estimator import METHODS, call_methods, check_methods, output_fields
from spark_infer.models.backends.numbers import check_count, no_matrix, refuse_missing_truth, returned_type, to_matrix
from spark_infer.models.backends.spec import LoadSpec

if TYPE_CHECKING:
    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

CPU_ONLY = True
_OWN = ("CatBoost", "CatBoostClassifier", "CatBoostRanker", "CatBoostRegressor")


def unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
    """Say what a matrix or a frame cannot do as the pyfunc would."""
    model_type = mlmodel.flavors["catboost"].get("model_type", "CatBoost")
    if model_type not in _OWN:
        return f"its class {model_type} is not one of CatBoost's own"
    return no_matrix(mlmodel.signature)


def load(spec: LoadSpec, folder: Path) -> CatboostModel:
    """Load a model of any format that CatBoost writes.

    Raises:
        ModelRefusedError: Its columns are not those of the signature, or it has not the method asked for.
        DeviceError: A GPU was asked for.
    """
    import catboost

    if spec.device != "cpu":
        from spark_infer.runtime.process_state import this_process

        this_process().device.settle(spec, seen=False, framework="CatBoost (whose pyfunc predicts on the CPU)")
    flavor = spec.mlmodel.flavors["catboost"]
    model = getattr(catboost, flavor.get("model_type", "CatBoost"))()
    model.load_model(str(folder / flavor["data"]), flavor.get("save_format", "cbm"))
    return CatboostModel(model, spec)


class _OnThreads:
    """A model whose methods use the threads of the task."""

    def __init__(self, model: Any, threads: int) -> None:
        for name in METHODS:
            if hasattr(model, name):
                setattr(self, name, partial(getattr(model, name), thread_count=threads))
        if hasattr(model, "classes_"):
            self.classes_ = np.asarray(model.classes_)


class CatboostModel:
    """A CatBoost model fed with one float32 matrix, or with a frame where its features are not all numbers.

    Attributes:
        estimator: What is asked.
        framework_model: CatBoost's own object.
    """

    by_row = True

    def __init__(self, model: Any, spec: LoadSpec) -> None:
        self.framework_model: Any = model
        self.estimator: Any = _OnThreads(model, spec.threads)
        self._methods, self._by_signature, self._binding = spec.methods, spec.by_signature, spec.binding
        check_methods(self.estimator, spec.methods)
        self._names: list[str] = model.feature_names_
        check_count(len(self._names), spec.binding, "CatBoost")
        others = (
            model.get_cat_feature_indices(),
            model.get_text_feature_indices(),
            model.get_embedding_feature_indices(),
        )
        self._of_numbers = not any(others)

    @property
    def how(self) -> str:
        """How batches reach the model, for the plan."""
        if self._of_numbers:
            return "one float32 matrix for each batch, no pandas"
        return "a pandas frame for each batch, since its features are not all numbers"

    def outputs(self) -> pa.Schema | None:
        """Columns of the methods asked for; what predict returns is found out on a row of missing values."""
        return output_fields(self.estimator, self._methods, self._prediction_type)

    def _prediction_type(self) -> pa.DataType | None:
        if not self._of_numbers:
            return None
        return returned_type(np.asarray(self.estimator.predict(np.full((1, len(self._names)), np.nan, np.float32))))

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch."""
        rows = self._given(inputs)
        return call_methods(self.estimator, self._methods, lambda: rows, by_signature=self._by_signature)

    def _given(self, inputs: pa.RecordBatch) -> Any:
        if not self._of_numbers:
            from spark_infer.models.backends.frame import to_model_input

            for array, name in zip(inputs.columns, inputs.schema.names, strict=True):
                refuse_missing_truth(array, name)
            return to_model_input(inputs, self._binding)
        if not self._binding.tensors and set(self._names) == set(inputs.schema.names):
            inputs = inputs.select(self._names)
        return to_matrix(inputs, self._binding, np.float32, order="F")

    def close(self) -> None:
        """Let go of the model."""
        self.estimator = self.framework_model = None
