"""LightGBM models, Booster and scikit-learn API, without MLflow and pandas in the worker.

LightGBM itself makes one matrix of a pandas frame, of the dtype that holds all its columns; it gets that matrix. So
the same instructions run on the same numbers: the answers equal the pyfunc's to the last bit. It takes columns by
position and never looks at their names. Predicting is done on the CPU, also by builds that train on a GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.convert import numpy_dtype
from spark_infer.core.outputs import Predictions
from spark_infer.errors import ModelRefusedError
from spark_infer.models.backends.estimator import call_methods, check_methods, output_fields, read_estimator
from spark_infer.models.backends.numbers import (
    check_count,
    no_matrix,
    refuse_others,
    refuse_unsigned,
    returned_type,
    to_matrix,
)
from spark_infer.models.backends.spec import LoadSpec

if TYPE_CHECKING:
    import lightgbm

    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

CPU_ONLY = True
_BOOSTER = "lightgbm.basic.Booster"
_OWN = (_BOOSTER, *(f"lightgbm.sklearn.LGBM{kind}" for kind in ("Model", "Classifier", "Regressor", "Ranker")))
_THREADS = {"n_jobs", "nthread", "nthreads", "num_thread", "num_threads"}


def unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
    """Say what a matrix of numbers cannot do as a frame would.

    Raises:
        ModelRefusedError: A column is no number: LightGBM refuses it, by pyfunc too.
    """
    model_class = mlmodel.flavors["lightgbm"].get("model_class", _BOOSTER)
    if model_class not in _OWN:
        return f"its class {model_class} is not one of LightGBM's own"
    refuse_others(mlmodel.signature, "LightGBM")
    return no_matrix(mlmodel.signature)


def load(spec: LoadSpec, folder: Path) -> LightgbmModel:
    """Load a booster from its text, or an estimator that was saved as skops, cloudpickle or pickle.

    Raises:
        ModelLoadError: The file's format is unknown, or unpickling is switched off.
        ModelRefusedError: Its columns are not those of the signature, or it has not the method asked for.
        DeviceError: A GPU was asked for.
    """
    if spec.device != "cpu":
        from spark_infer.runtime.process_state import this_process

        this_process().device.settle(spec, seen=False, framework="LightGBM (which predicts on the CPU alone)")
    flavor = spec.mlmodel.flavors["lightgbm"]
    path = folder / flavor["data"]
    if flavor.get("model_class", _BOOSTER) == _BOOSTER:
        from lightgbm import Booster

        booster = Booster(model_file=path)
        return LightgbmModel(_OnThreads(booster, spec.threads), booster, spec)
    saved_as = flavor.get("serialization_format", "cloudpickle")
    trusted = flavor.get("skops_trusted_types")
    estimator = read_estimator(path, saved_as, trusted, accelerate=spec.accelerate)
    own = _THREADS & estimator.get_params(deep=False).keys()
    estimator.set_params(**dict.fromkeys(own, spec.threads))
    # Trained on a frame, fed with a matrix of the same columns.
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    return LightgbmModel(estimator, estimator.booster_, spec)


class _OnThreads:
    """A booster as its pyfunc calls it, on the threads of the task."""

    def __init__(self, booster: lightgbm.Booster, threads: int) -> None:
        self.predict: Callable[[Any], Any] = partial(booster.predict, num_threads=threads)


class LightgbmModel:
    """A booster, or an estimator around one, fed with one matrix in the dtype that LightGBM would choose.

    Attributes:
        estimator: What is asked.
        booster: The booster in it.
        framework_model: LightGBM's own object.
    """

    how = "one matrix for each batch, no pandas"
    by_row = True

    def __init__(self, model: Any, booster: Any, spec: LoadSpec) -> None:
        self.estimator, self.booster = model, booster
        self.framework_model = booster if isinstance(model, _OnThreads) else model
        self._width = booster.num_feature()
        self._methods, self._by_signature, self._binding = spec.methods, spec.by_signature, spec.binding
        check_methods(model, spec.methods)
        refuse_unsigned(spec.binding, "LightGBM")
        check_count(self._width, spec.binding, "LightGBM")
        if booster.pandas_categorical:
            raise ModelRefusedError(
                "The LightGBM model was trained on pandas categories, and a table's columns have none; its pyfunc "
                "would raise on every batch.",
                next_step="log a pipeline that encodes them, or train on their codes with categorical_feature.",
            )

    def outputs(self) -> pa.Schema | None:
        """Columns of the methods asked for; what predict returns is found out on a row of missing values."""
        return output_fields(self.estimator, self._methods, self._prediction_type)

    def _prediction_type(self) -> pa.DataType:
        return returned_type(np.asarray(self.estimator.predict(np.full((1, self._width), np.nan))))

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch."""
        rows = self.given(inputs)
        return call_methods(self.estimator, self._methods, lambda: rows, by_signature=self._by_signature)

    def given(self, inputs: pa.RecordBatch) -> npt.NDArray[Any]:
        """Return the matrix that a batch becomes."""
        # A frame becomes a matrix of this dtype; an array stays as it is, and LightGBM sees to it.
        dtype = None if self._binding.tensors else np.result_type(np.float32, *map(numpy_dtype, inputs.schema.types))
        return to_matrix(inputs, self._binding, dtype, order="F")

    def close(self) -> None:
        """Let go of the model."""
        self.estimator = self.booster = self.framework_model = None
