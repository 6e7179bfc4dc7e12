"""One file for each flavor that is served without MLflow and pandas, named as MLflow names the flavor.

A file here has two functions:

- ``unfit(mlmodel, options, folder) -> str | None`` says, on the driver and without loading the model, why it cannot
  guarantee the answers of the model's pyfunc; None where it can. It imports no framework. Inference parameters that
  are given go through pyfunc; those that the signature only has defaults for are this function's to think of.
- ``load(spec, folder) -> LoadedModel`` loads the model, in a worker. One that can use a GPU asks
  `ProcessDevice.settle` for its device.

A file with ``CPU_ONLY = True`` has no use for a GPU and is not loaded on one. One with ``PARAMS`` takes these inference
parameters of any model, declared by its signature or not. One whose models return something else than their signatures
say has ``declared_outputs(mlmodel, params) -> pa.Schema | None``, which is believed in the signature's place. One with
``TAKES_PARAMS = True`` takes those that a signature declares and a ``model_config``, which go through pyfunc otherwise.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import pyarrow as pa

from spark_infer.core.prediction_columns import signature_outputs
from spark_infer.core.signature import Param
from spark_infer.models.backends.spec import COMPILED, COMPILED_TREES

if TYPE_CHECKING:
    from spark_infer.config import ScoreOptions
    from spark_infer.models.backends.spec import LoadedModel, LoadSpec
    from spark_infer.models.mlmodel import MLModel


class Backend(Protocol):
    """What a file of this folder offers."""

    def unfit(self, mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
        """Say why it cannot serve the model as its pyfunc would; None where it can."""
        ...

    def load(self, spec: LoadSpec, folder: Path) -> LoadedModel:
        """Load the model from its folder."""
        ...


def flavors() -> tuple[str, ...]:
    """Return the flavors that have a native backend."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def backend(flavor: str) -> Backend:
    """Import the native backend of a flavor; its framework waits until `load`."""
    return cast("Backend", importlib.import_module(f"{__name__}.{flavor}"))


def uses_gpu(name: str) -> bool:
    """Whether a backend has use for a GPU; what a pyfunc does with one is its author's business."""
    if name in (COMPILED, COMPILED_TREES):
        return False
    return name not in flavors() or not getattr(backend(name), "CPU_ONLY", False)


def params_of(name: str) -> tuple[Param, ...]:
    """Return the inference parameters that a backend takes of any model."""
    return getattr(backend(name), "PARAMS", ()) if name in flavors() else ()


def declared_outputs(name: str, mlmodel: MLModel, params: Mapping[str, Any]) -> pa.Schema | None:
    """Return the outputs that a model declares, as a backend returns them; None where it declares none."""
    of_backend = getattr(backend(name), "declared_outputs", None) if name in flavors() else None
    found: pa.Schema | None = None if of_backend is None else of_backend(mlmodel, params)
    return signature_outputs(mlmodel.signature) if found is None else found


def takes_params(name: str) -> bool:
    """Whether a backend takes inference parameters of signatures, and a model's configuration."""
    return bool(getattr(backend(name), "TAKES_PARAMS", False))
