"""XGBoost models, Booster and scikit-learn API, without MLflow, pandas and, where it changes nothing, DMatrix.

XGBoost computes in float32 whatever it is given, so one float32 matrix, each value rounded once, holds all it would
see of a pandas frame: the answers equal the pyfunc's to the last bit on the CPU. `Booster.inplace_predict` runs the
same trees in the same order for the tree booster; dart and gblinear get a DMatrix, as the pyfunc gives them.
"""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.outputs import Predictions
from spark_infer.errors import InputValueError, ModelRefusedError
from spark_infer.models.backends.estimator import call_methods, check_methods, output_fields
from spark_infer.models.backends.numbers import (
    check_count,
    check_names,
    no_matrix,
    refuse_others,
    refuse_unsigned,
    returned_type,
    to_matrix,
)
from spark_infer.models.backends.spec import LoadSpec

if TYPE_CHECKING:
    import xgboost

    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

_BOOSTER = "xgboost.core.Booster"
_OWN = (
    _BOOSTER,
    "xgboost.sklearn.XGBModel",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
    "xgboost.sklearn.XGBRanker",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
)


def unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
    """Say what a matrix of numbers cannot do as a frame would.

    Raises:
        ModelRefusedError: A column is no number: XGBoost refuses it, by pyfunc too.
    """
    model_class = mlmodel.flavors["xgboost"].get("model_class", _BOOSTER)
    if model_class not in _OWN:
        return f"its class {model_class} is not one of XGBoost's own"
    refuse_others(mlmodel.signature, "XGBoost")
    names = (mlmodel.signature.names if mlmodel.signature else None) or options.inputs or ()
    if model_class.endswith("Ranker") and "qid" in names:
        return "the ranker takes the column 'qid' out of a frame"
    return no_matrix(mlmodel.signature)


def load(spec: LoadSpec, folder: Path) -> XgboostModel:
    """Load a model of any format that XGBoost writes (ubj, json, xgb).

    Raises:
        ModelRefusedError: Its columns are not those of the signature, or it has not the method asked for.
        DeviceError: A GPU was asked for and XGBoost sees none.
    """
    flavor = spec.mlmodel.flavors["xgboost"]
    module, _, name = flavor.get("model_class", _BOOSTER).rpartition(".")
    model = getattr(importlib.import_module(module), name)()
    with warnings.catch_warnings():
        # Older formats are announced as deprecated to whoever reads them, not to whoever wrote them.
        warnings.simplefilter("ignore")
        model.load_model(folder / flavor["data"])
    return XgboostModel(model, spec)


class XgboostModel:
    """A booster, or an estimator around one, fed with one float32 matrix.

    Attributes:
        estimator: What is asked.
        framework_model: XGBoost's own object.
    """

    by_row = True

    def __init__(self, model: Any, spec: LoadSpec) -> None:
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        self.framework_model: Any = model
        self._methods, self._by_signature, self._binding = spec.methods, spec.by_signature, spec.binding
        check_methods(model, spec.methods)
        _check_columns(booster, spec, bare=booster is not model)
        # The names are checked; a matrix has none, and XGBoost must not ask for them again.
        booster.feature_names = None
        booster.set_param({"nthread": spec.threads})
        self._width = booster.num_features()
        self._device = _placed(booster, spec)
        if booster is model:
            in_place = self._device == "cpu" and _kind(booster) == "gbtree"
            self.estimator: Any = _OnMatrix(booster, spec.threads, in_place=in_place)
        else:
            # Its own predict knows its classes and best iteration, and predicts in place where that is possible.
            model.n_jobs, model.verbosity = spec.threads, None if self._device == "cpu" else 0
            self.estimator = model

    @property
    def how(self) -> str:
        """How batches reach the model, for the plan."""
        place = "" if self._device == "cpu" else f", on {self._device}"
        return f"one float32 matrix for each batch, no pandas{place}"

    def outputs(self) -> pa.Schema | None:
        """Columns of the methods asked for; what predict returns is found out on a row of missing values."""
        return output_fields(self.estimator, self._methods, self._prediction_type)

    def _prediction_type(self) -> pa.DataType:
        return returned_type(self.estimator.predict(np.full((1, self._width), np.nan, dtype=np.float32)))

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch.

        Raises:
            InputValueError: A booster is given an infinite value, or one too large for float32; its pyfunc raises too.
        """
        rows = self.given(inputs)
        return call_methods(self.estimator, self._methods, lambda: rows, by_signature=self._by_signature)

    def given(self, inputs: pa.RecordBatch) -> npt.NDArray[Any]:
        """Return the matrix that a batch becomes."""
        return to_matrix(inputs, self._binding, np.float32)

    def close(self) -> None:
        """Let go of the model."""
        self.estimator = self.framework_model = None


class _OnMatrix:
    """A booster as its pyfunc calls it: every tree, the values of the objective, infinite inputs refused."""

    def __init__(self, booster: xgboost.Booster, threads: int, *, in_place: bool) -> None:
        self._booster = booster
        self._threads = threads
        self._in_place = in_place

    def predict(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        # DMatrix refuses these; in place they would be taken for numbers.
        if np.isinf(rows).any():
            raise InputValueError(
                "A column holds an infinite value, or one beyond float32, which an XGBoost booster does not take.",
                details=[f"input column(s) by position: {np.flatnonzero(np.isinf(rows).any(axis=0)).tolist()}"],
                next_step="filter these rows with `where`, or replace the values in a preprocess function.",
            )
        if self._in_place:
            return self._booster.inplace_predict(rows, validate_features=False)
        from xgboost import DMatrix

        return self._booster.predict(DMatrix(rows, nthread=self._threads), validate_features=False)


def _check_columns(booster: xgboost.Booster, spec: LoadSpec, *, bare: bool) -> None:
    refuse_unsigned(spec.binding, "XGBoost")
    names = booster.feature_names
    check_names(names, spec.binding, "XGBoost")
    check_count(booster.num_features(), spec.binding, "XGBoost")
    if spec.binding.tensors and names and not bare:
        raise ModelRefusedError(
            "The XGBoost booster was trained on named columns, and its signature is a matrix without names.",
            details=[f"its columns are {names}"],
            next_step="log it again with the signature of its columns.",
        )
    _refuse_categories(booster)


def _refuse_categories(booster: xgboost.Booster) -> None:
    # From XGBoost 3.1 on, trees keep the categories of the frame they were trained on, and code new frames by them.
    if not hasattr(booster, "get_categories") or _kind(booster) == "gblinear":
        return
    categories = booster.get_categories(export_to_arrow=True)
    kept = [] if categories.empty() else categories.to_arrow()
    recoded = [name for name, values in kept if values is not None and not _are_codes(values)]
    if recoded:
        raise ModelRefusedError(
            "The XGBoost model was trained on pandas categories, and a table's columns have none.",
            details=[f"column(s) {recoded}"],
            next_step="log a pipeline that encodes them, or train on their codes with feature_types. backend='pyfunc' "
            "serves a Booster by taking the values for codes.",
        )


def _are_codes(categories: pa.Array) -> bool:
    return bool(pa.types.is_integer(categories.type) and categories.to_pylist() == list(range(len(categories))))


def _kind(booster: xgboost.Booster) -> str:
    return str(json.loads(booster.save_config())["learner"]["gradient_booster"]["name"])


def _placed(booster: xgboost.Booster, spec: LoadSpec) -> str:
    """Put the booster on the device asked for, and return where it is.

    Raises:
        DeviceError: XGBoost sees no GPU, and the cpu will not do.
    """
    if spec.device == "cpu":
        booster.set_param({"device": "cpu"})
        return "cpu"
    from spark_infer.runtime.process_state import this_process

    with warnings.catch_warnings():
        # Without a GPU it warns and stays on the cpu; what that means is for `settle` to say.
        warnings.simplefilter("ignore")
        booster.set_param({"device": spec.device})
        found = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    device = this_process().device.settle(spec, seen=found.startswith("cuda"), framework="XGBoost")
    booster.set_param({"device": device})
    return device
