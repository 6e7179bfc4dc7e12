"""Any MLflow model through its pyfunc: the reference that every native backend is held to."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import mlflow.models.model
import pyarrow as pa
from mlflow.pyfunc import PyFuncModel, load_model
from mlflow.types import ParamSchema

from spark_infer.core.convert import to_rows
from spark_infer.core.nested import turned_nulls
from spark_infer.core.outputs import Predictions
from spark_infer.core.signature import Column, Signature, spelled
from spark_infer.errors import InputValueError
from spark_infer.models.backends.frame import to_model_input, to_predictions
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.code import enter_code


def load(spec: LoadSpec, folder: Path) -> PyfuncModel:
    """Load a model the way ``mlflow.pyfunc.load_model`` does."""
    # Keras reads it when it is imported; the model needs what it was saved with.
    if keras_backend := spec.mlmodel.flavors.get("keras", {}).get("keras_backend"):
        os.environ.setdefault("KERAS_BACKEND", keras_backend)
    loaded_before = set(sys.modules)
    loaded = load_model(str(folder), suppress_warnings=True, model_config=dict(spec.config) or None)
    model = PyfuncModel(loaded, spec, folder)
    model.code = {name for name in set(sys.modules) - loaded_before if name.startswith("code_model_")}
    # MLflow remembers the last model that was made by code, which would keep it after close.
    vars(mlflow.models.model)["__mlflow_model__"] = None
    return model


_REQUEST_LOADERS = tuple(f"mlflow.pyfunc.loaders.{kind}" for kind in ("chat_agent", "chat_model", "responses_agent"))
"""Loaders of MLflow's ChatAgent, ChatModel and ResponsesAgent: of a frame, they answer the first row alone."""


class PyfuncModel:
    """A pyfunc fed with pandas frames or numpy arrays, or with a list of rows where type hints ask for that.

    A model that takes one request gets batches of one row, unless the user asked for others.
    """

    code: AbstractSet[str] = frozenset()
    """Modules that MLflow made for this model alone."""

    def __init__(self, model: PyFuncModel, spec: LoadSpec, folder: Path) -> None:
        self._model: PyFuncModel | None = model
        self._mlmodel = spec.mlmodel
        self._folder = folder
        self._binding = spec.binding
        signature = spec.mlmodel.signature
        self._hinted = signature if signature is not None and signature.type_hints else None
        self._requests = signature if (spec.mlmodel.pyfunc or {}).get("loader_module") in _REQUEST_LOADERS else None
        self.batch_rows = 1 if self._requests else None
        self._params = dict(spec.params) or _changeable_defaults(model)

    @property
    def how(self) -> str:
        """How batches reach the model, for the plan."""
        if self._requests is not None:
            return "pyfunc: each row is a request of Python's own values"
        hinted = self._hinted is not None
        return "pyfunc: batches go through " + ("Python's own values, as its type hints ask" if hinted else "pandas")

    def outputs(self) -> pa.Schema | None:
        """A pyfunc knows its outputs by its signature alone."""
        return None

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Predict one batch through ``PyFuncModel.predict``, signature enforcement included."""
        assert self._model is not None
        enter_code(self._folder, self._mlmodel)  # it may import more of its own modules
        # A model may change its parameters too: each batch gets its own.
        params = copy.deepcopy(self._params) or None
        result = self._model.predict(self._given(inputs), params=params)
        return to_predictions(result if self._requests is None else [result])

    def _given(self, inputs: pa.RecordBatch) -> Any:
        if self._hinted is not None:
            return to_rows(inputs, self._hinted)
        if self._mlmodel.signature is not None:
            _refuse_turned_nulls(inputs, self._mlmodel.signature)
        if self._requests is not None:
            if len(inputs) > 1:
                raise _takes_one(len(inputs))
            (request,) = to_rows(inputs, self._requests)
            # What a request leaves out has the model's default.
            return {name: value for name, value in request.items() if value is not None}
        return to_model_input(inputs, self._binding, sized=self._mlmodel.signature is not None)

    def close(self) -> None:
        """Let go of the model, and of the code that was loaded for it."""
        self._model = None
        for name in self.code:
            sys.modules.pop(name, None)


def _takes_one(rows: int) -> InputValueError:
    return InputValueError(
        f"The model takes one request, and got a batch of {rows} rows.", next_step="leave `batch_size` out, or set 1."
    )


def _refuse_turned_nulls(inputs: pa.RecordBatch, signature: Signature) -> None:
    declared = [item.type for item in signature.inputs if isinstance(item, Column)]
    given = dict(zip(inputs.schema.names, inputs.columns, strict=True))
    for name, data_type in zip(signature.names or given, declared, strict=False):
        found = turned_nulls(given[name], data_type) if name in given else None
        if found is not None:
            raise InputValueError(
                f"Column {name!r} holds a null inside {spelled(found)}: MLflow's enforcement of the signature would "
                "make a value of it, the text 'None' or False.",
                next_step="filter these rows with `where`, or take such nulls out in a preprocess function or in SQL.",
            )


def _changeable_defaults(model: PyFuncModel) -> dict[str, Any]:
    """The defaults, where a model could change one in place; MLflow passes the signature's own objects.

    All of them, since MLflow puts those that it fills in last; a model gets its parameters in the signature's order.
    """
    declared: ParamSchema | None = model.metadata.get_params_schema()  # type: ignore[no-untyped-call]  # MLflow's
    defaults = {param.name: param.default for param in declared.params} if declared is not None else {}
    return defaults if any(isinstance(default, list | dict) for default in defaults.values()) else {}
