"""One file for each way to run a model. `choose` decides on the driver, `load` runs on the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from spark_infer.config import ScoreOptions
from spark_infer.core.contract import Binding
from spark_infer.core.scoring import Model
from spark_infer.errors import ModelLoadError, ModelRefusedError, SparkInferError
from spark_infer.models.code import enter_code

if TYPE_CHECKING:
    from spark_infer.models.mlmodel import MLModel


@dataclass(frozen=True, kw_only=True)
class LoadSpec:
    """All a backend needs to load a model; plain values.

    Attributes:
        backend: Name of the backend.
        mlmodel: The parsed ``MLmodel``.
        methods: Methods to call for each batch.
        by_signature: Whether the outputs are those that the signature declares, unnamed ones in its order.
        binding: How the inputs will arrive.
        params: Inference parameters, complete; empty where the model takes none.
        threads: Threads the model may use.
    """

    backend: str
    mlmodel: MLModel
    methods: tuple[str, ...]
    by_signature: bool
    binding: Binding
    params: Mapping[str, Any]
    threads: int

    def key(self, digest: str) -> tuple[str, ...]:
        """What makes the loaded model unique in a process; which table columns feed it does not."""
        inputs = [(column.target, str(column.type)) for column in self.binding.columns]
        how = (self.methods, self.by_signature, inputs, self.binding.tensors, sorted(self.params.items()), self.threads)
        return (digest, self.backend, repr(how))


class LoadedModel(Model, Protocol):
    """A model that can tell about itself once it is loaded."""

    @property
    def how(self) -> str:
        """How batches reach it, one sentence for the plan."""
        ...

    def outputs(self) -> pa.Schema | None:
        """Columns it returns, where it knows; None where only its signature could say."""
        ...


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which backend serves a model, and why; ``reason`` is a sentence for the plan."""

    backend: str
    reason: str


def choose(mlmodel: MLModel, options: ScoreOptions) -> Choice:
    """Choose the backend for a model: the native one of its flavor where it gives the same answers, else pyfunc.

    Raises:
        ModelRefusedError: No backend can serve it, or not the one asked for.
    """
    native = None if "sklearn" in mlmodel.flavors else "it has no scikit-learn flavor"
    if native is None and options.params:
        native = "inference parameters go through pyfunc"
    if options.backend == "sklearn" or (options.backend == "auto" and native is None):
        if native is not None:
            raise ModelRefusedError(
                f"backend 'sklearn' cannot serve this model: {native}.", next_step="use backend='auto' or 'pyfunc'."
            )
        why = "asked for" if options.backend == "sklearn" else "native backend of the scikit-learn flavor"
        return Choice(backend="sklearn", reason=why)
    if "python_function" not in mlmodel.flavors:
        raise ModelRefusedError(
            f"No backend can serve this model: its flavors are {sorted(mlmodel.flavors)}, without python_function.",
            next_step="log it again with an MLflow flavor that has a pyfunc.",
        )
    if options.predict_method not in (None, (mlmodel.predict_fn or "predict",)):
        raise ModelRefusedError(
            f"predict_method={list(options.predict_method or ())} needs a native backend; pyfunc has "
            f"{mlmodel.predict_fn or 'predict'!r} alone" + (f" ({native})." if native else "."),
            next_step="leave predict_method out, or use a model with the scikit-learn flavor.",
        )
    return Choice(backend="pyfunc", reason="asked for" if options.backend == "pyfunc" else str(native))


def load(spec: LoadSpec, folder: Path) -> LoadedModel:
    """Load a model from its folder.

    Raises:
        ModelLoadError: Its libraries are missing, or it does not load.
    """
    enter_code(folder, spec.mlmodel)
    try:
        match spec.backend:
            case "sklearn":
                from spark_infer.models.backends import sklearn as native

                return native.load(spec, folder)
            case _:
                from spark_infer.models.backends import pyfunc

                return pyfunc.load(spec, folder)
    except SparkInferError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelLoadError(
            f"The model does not load with backend {spec.backend!r} ({type(error).__name__}: {error}).",
            next_step="install the model's requirements.txt in the Python that Spark's workers use.",
        ) from error
