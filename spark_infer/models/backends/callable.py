"""A plain Python function or class: called with each batch in the form that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.convert import own, to_numpy
from spark_infer.core.outputs import Predictions
from spark_infer.core.prediction_columns import signature_outputs
from spark_infer.errors import ModelLoadError, PlanError
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.callables.callable_signature import predict_of
from spark_infer.models.callables.pin import import_target
from spark_infer.models.callables.python_code import PICKLE, PythonCode
from spark_infer.models.callables.sources import digest_of, sources_of


def load(spec: LoadSpec, folder: Path) -> LoadedCallable:
    """Import or unpickle a predictor, and make and set it up where it is a class.

    Raises:
        ModelLoadError: The code here is not that of the driver, or cannot be imported.
    """
    code = spec.mlmodel.code
    assert code is not None
    _require_same_sources(code)
    predictor = _imported(code) if code.target else _unpickled(folder)
    if isinstance(predictor, type):
        predictor = predictor(**code.arguments)
    setup = getattr(predictor, "setup", None)
    if callable(setup):
        setup()
    return LoadedCallable(predict_of(predictor), spec, code)


class LoadedCallable:
    """A predictor that is set up."""

    def __init__(self, predict: Callable[..., Any], spec: LoadSpec, code: PythonCode) -> None:
        self._predict = predict
        self._params = dict(spec.params)
        self._outputs = signature_outputs(spec.mlmodel.signature)
        self._format = code.batch_format

    @property
    def how(self) -> str:
        """How batches reach it, for the plan."""
        form = {"numpy": "a dict of numpy arrays", "pandas": "a pandas frame", "pyarrow": "a pyarrow.RecordBatch"}
        return f"Python: each batch is {form[self._format]}"

    def outputs(self) -> pa.Schema | None:
        """Return what its user says that it returns, or its annotation."""
        return self._outputs

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Call it with a batch."""
        return _predictions(self._predict(self._given(inputs), **self._params))

    def _given(self, inputs: pa.RecordBatch) -> Any:
        if self._format == "pyarrow":
            return inputs
        if self._format == "pandas":
            from spark_infer.models.backends.frame import to_frame

            return to_frame(inputs)
        return {name: own(to_numpy(inputs.column(name), name)) for name in inputs.schema.names}

    def close(self) -> None:
        """Let go of it."""
        del self._predict


def _require_same_sources(code: PythonCode) -> None:
    if digest_of(sources_of(code.modules)) == code.sources:
        return
    packages = sorted({module.partition(".")[0] for module in code.modules})
    raise ModelLoadError(
        f"A package of the Python model{f' {code.target!r}' if code.target else ''} is not here, or is another than on "
        f"the driver when the run was planned: {', '.join(packages)}.",
        details=["one run uses one version of a model, so the source of its packages must be the same everywhere"],
        next_step="install the same version of the package on the driver and on the workers, or ship it with "
        "spark-submit --py-files.",
    )


def _imported(code: PythonCode) -> Any:
    try:
        return import_target(code.target)
    except PlanError as error:
        raise ModelLoadError(error.what, details=error.details, next_step=error.next_step) from error


def _unpickled(folder: Path) -> Any:
    from spark_infer.models.callables.pickled import load as unpickle

    return unpickle((folder / PICKLE).read_bytes())


def _predictions(result: Any) -> Predictions:
    """Read what it returned; only what pandas knows needs pandas."""
    if isinstance(result, pa.Table):
        result = {
            name: column.combine_chunks() for name, column in zip(result.column_names, result.columns, strict=True)
        }
    elif isinstance(result, pa.RecordBatch):
        result = dict(zip(result.schema.names, result.columns, strict=True))
    if isinstance(result, Mapping) and all(isinstance(each, np.ndarray | list | pa.Array) for each in result.values()):
        return {str(name): values for name, values in result.items()}
    if isinstance(result, np.ndarray | list | pa.Array) and type(result) is not np.matrix:
        return {None: result}
    from spark_infer.models.backends.frame import to_predictions

    return to_predictions(result)
