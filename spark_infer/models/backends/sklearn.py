"""scikit-learn models without MLflow in the worker, and without pandas where that gives the same answers."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer

from spark_infer.core.contract import Binding
from spark_infer.core.convert import matrix, tensor
from spark_infer.core.outputs import ONLY_OUTPUT, Predictions
from spark_infer.core.signature import SCALARS
from spark_infer.errors import ModelLoadError, ModelRefusedError, nearest
from spark_infer.models.backends import LoadSpec

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")
_PREFIX = {"predict_proba": "probability", "predict_log_proba": "log_probability", "decision_function": "decision"}


def load(spec: LoadSpec, folder: Path) -> SklearnModel:
    """Load an estimator that MLflow saved as skops, cloudpickle or pickle.

    Raises:
        ModelLoadError: The file's format is unknown, or unpickling is switched off.
        ModelRefusedError: The estimator has not the method asked for.
    """
    flavor = spec.mlmodel.flavors["sklearn"]
    if os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").lower() in ("false", "0"):
        raise ModelLoadError(
            "Loading this model runs code from its files, and MLFLOW_ALLOW_PICKLE_DESERIALIZATION forbids that.",
            next_step="allow it for models you trust.",
        )
    estimator = _read(folder / flavor["pickled_model"], flavor)
    _limit_jobs(estimator, spec.threads)
    return SklearnModel(estimator, spec)


def _read(path: Path, flavor: Any) -> BaseEstimator:
    match flavor.get("serialization_format", "pickle"):
        case "skops":
            import skops.io

            return skops.io.load(path, trusted=flavor.get("skops_trusted_types"))
        case "cloudpickle":
            import cloudpickle

            return cloudpickle.loads(path.read_bytes())
        case "pickle":
            return pickle.loads(path.read_bytes())
        case other:
            raise ModelLoadError(f"The scikit-learn model is saved as {other!r}, a format this version does not know.")


def _limit_jobs(estimator: BaseEstimator, threads: int) -> None:
    # joblib takes n_jobs=-1 as all cores of the node, though Spark runs other tasks there.
    for part in _parts(estimator):
        if getattr(part, "n_jobs", None) is not None:
            part.n_jobs = threads


class SklearnModel:
    """An estimator fed with one numpy matrix, or with a frame where it selects columns by name."""

    def __init__(self, estimator: BaseEstimator, spec: LoadSpec) -> None:
        self._estimator: BaseEstimator | None = estimator
        self._methods = spec.methods
        self._by_signature = spec.by_signature
        self._binding = spec.binding
        for method in spec.methods:
            if method not in METHODS or not hasattr(estimator, method):
                offered = [name for name in METHODS if hasattr(estimator, name)]
                raise ModelRefusedError(
                    f"{type(estimator).__name__} has no method {method!r}{nearest(method, offered)}.",
                    details=[f"it has {offered}"],
                )
        self._frame_reason = _needs_frame(estimator, spec.binding)
        if self._frame_reason is None:
            # The frame's column names were checked against the estimator's once, in _needs_frame.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")

    @property
    def how(self) -> str:
        """How batches reach the estimator, for the plan."""
        if self._frame_reason is None:
            return "one numpy matrix for each batch, no pandas"
        return f"a pandas frame for each batch: {self._frame_reason}"

    def outputs(self) -> pa.Schema | None:
        """Columns of the methods asked for; None where only the signature can say what predict returns."""
        fields: list[pa.Field] = []
        for method in self._methods:
            found = self._prediction_fields() if method == "predict" else self._score_fields(method)
            if found is None:
                return None
            fields += found
        return pa.schema(fields)

    def _prediction_fields(self) -> list[pa.Field] | None:
        classes = getattr(self._estimator, "classes_", None)
        if is_classifier(self._estimator) and isinstance(classes, np.ndarray):
            values = pa.array(classes.tolist())
            return [pa.field(ONLY_OUTPUT, values.type)]
        if is_regressor(self._estimator) and getattr(self._estimator, "n_outputs_", 1) == 1:
            return [pa.field(ONLY_OUTPUT, SCALARS["double"])]
        return None

    def _score_fields(self, method: str) -> list[pa.Field]:
        classes = getattr(self._estimator, "classes_", None)
        if not isinstance(classes, np.ndarray):
            raise ModelRefusedError(
                f"The columns of {method!r} have no names: {type(self._estimator).__name__} has no list of classes.",
                next_step="log the model with pyfunc_predict_fn and a signature, and leave predict_method out.",
            )
        prefix = _PREFIX[method]
        binary = method == "decision_function" and len(classes) == 2
        names = [prefix] if binary else [f"{prefix}_{label}" for label in classes.tolist()]
        return [pa.field(name, SCALARS["double"]) for name in names]

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Call each method once; outputs are named unless the signature names them."""
        given = self._given(inputs)
        if self._by_signature:
            return {None: getattr(self._estimator, self._methods[0])(given)}
        columns: dict[str | None, Any] = {}
        for method in self._methods:
            result = getattr(self._estimator, method)(given)
            if method == "predict":
                columns[ONLY_OUTPUT] = result
            else:
                names = [field.name for field in self._score_fields(method)]
                columns |= dict(zip(names, np.atleast_2d(result.T), strict=True))
        return columns

    def _given(self, inputs: pa.RecordBatch) -> Any:
        if self._frame_reason is not None:
            from spark_infer.models.backends.frame import to_model_input

            given = to_model_input(inputs, self._binding)
            # A step may change the frame it is given; the columns it was made of belong to Spark.
            return given.copy() if hasattr(given, "copy") else given
        if self._binding.tensors:
            return tensor(inputs, self._binding.tensors[0])
        dtype = np.result_type(*(field.type.to_pandas_dtype() for field in inputs.schema))
        return matrix(inputs.columns, inputs.schema.names, dtype, order="F")

    def close(self) -> None:
        """Let go of the estimator."""
        self._estimator = None


def _needs_frame(estimator: BaseEstimator, binding: Binding) -> str | None:
    """Say why an estimator must get a pandas frame; None where a numpy matrix gives the same answers."""
    if binding.tensors:
        return None if len(binding.tensors) == 1 and binding.tensors[0].name is None else "it takes named tensors"
    for column in binding.columns:
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            return f"column {column.target!r} is not a number"
    if len({column.type for column in binding.columns}) > 1:
        for column in binding.columns:
            if column.type in (pa.int64(), pa.uint64()):
                return f"column {column.target!r} is long beside other types, and one matrix of doubles would round it"
    fitted_on = getattr(estimator, "feature_names_in_", None)
    if fitted_on is not None and list(fitted_on) != [column.target for column in binding.columns]:
        return "it was fitted on other columns, or in another order, than its signature says"
    for part in _parts(estimator):
        name = type(part).__name__
        if not type(part).__module__.startswith("sklearn."):
            return f"{name} is not one of scikit-learn's own estimators"
        if isinstance(part, FunctionTransformer):
            return "a FunctionTransformer may use column names"
        if isinstance(part, ColumnTransformer) and not _by_position(part):
            return "a ColumnTransformer selects columns by name"
        if getattr(part, "_sklearn_output_config", None):
            return f"{name} is set to return frames"
    return None


def _by_position(transformer: ColumnTransformer) -> bool:
    selections = [columns for _, _, columns in transformer.transformers]
    return all(
        isinstance(each, int) or (isinstance(each, list) and all(isinstance(i, int) for i in each))
        for each in selections
    )


def _parts(estimator: Any) -> Iterator[Any]:
    """Walk an estimator and everything fitted inside it."""
    seen: set[int] = set()
    todo = [estimator]
    while todo:
        part = todo.pop()
        if isinstance(part, list | tuple):
            todo.extend(part)
        elif isinstance(part, dict):
            todo.extend(part.values())
        elif isinstance(part, BaseEstimator) and id(part) not in seen:
            seen.add(id(part))
            yield part
            todo.extend(vars(part).values())
