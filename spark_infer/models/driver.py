"""The model on the driver: the store of this machine, and the model loaded in this process."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from functools import partial

from spark_infer.config import ScoreOptions
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelLoadError, SparkInferError
from spark_infer.models.backends.choose_backend import choose
from spark_infer.models.backends.spec import LoadedModel, LoadSpec
from spark_infer.models.files.store import ModelStore, default_root
from spark_infer.models.ref import ModelRef
from spark_infer.models.requirements import refuse_unmet, requirements
from spark_infer.models.unloadable import refused_load
from spark_infer.models.worker import load_model


def open_store() -> ModelStore:
    """Return this node's model store."""
    return ModelStore(default_root(os.environ))


def import_libraries(ref: ModelRef, options: ScoreOptions, store: ModelStore) -> None:
    """Import what loading a model takes, which is most of the time that it takes; what does not fit is not told here.

    Args:
        ref: The pinned model.
        options: How rows are scored.
        store: The driver's store, which holds the model.
    """
    try:
        backend = choose(ref.mlmodel, options, store.path(ref.digest)).backend
    except SparkInferError:
        return
    for library in requirements(ref.mlmodel, backend):
        with suppress(Exception):
            importlib.import_module(library.module)


def load_here(spec: LoadSpec, ref: ModelRef, store: ModelStore, cache_bytes: int) -> LoadedModel:
    """Load a model in this process, once.

    Raises:
        ModelRefusedError: It does not load.
        EnvironmentProblem: A library that it needs is missing.
    """
    refuse_unmet(requirements(ref.mlmodel, spec.backend))
    folder = partial(store.path, spec.files(ref.digest))
    try:
        return load_model(spec, ref, folder, Stats(), cache_bytes=cache_bytes)
    except ModelLoadError as error:
        raise refused_load(error, ref, spec.backend, store.path(ref.digest)) from error
