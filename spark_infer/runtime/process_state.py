"""All that this process keeps from one call to the next, in one object.

A Python worker that Spark uses again finds here what its earlier tasks left: loaded models, the device that CUDA is
bound to, the modules of the model that was entered last. The driver has the same object for the models that it tries.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, MutableMapping
from pathlib import Path
from typing import Any

from spark_infer.core.batch_search import BatchSearch
from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.runtime.deadline import StepDeadlines
from spark_infer.runtime.device import ProcessDevice
from spark_infer.runtime.failpoints import Failpoints
from spark_infer.runtime.import_path import ModelModules
from spark_infer.runtime.model_cache import ModelCache, resident_bytes
from spark_infer.runtime.stop_signals import StopSignals
from spark_infer.runtime.thread_limits import ThreadLimits


class ProcessState:
    """What a process keeps.

    Attributes:
        models: The loaded models.
        device: What CUDA sees.
        modules: The Python modules that models bring along.
        threads: How many threads the libraries may use.
        deadlines: Ends the process where a step takes too long.
        failpoints: Where a test breaks the process.
        stop_signals: What it does when it is asked to stop.
        hashed_entries: Entries of the store of model files that were hashed, by path. A forked worker inherits them:
            same node, same files.
        ceilings: How many rows there is memory for in one predict call, by how the model was loaded.
        batch_searches: How many rows of a batch a model is fast with, by how it was loaded.
        models_warned_of: Digests of models whose differences from this Python were logged.
        prediction_index: Where the predictions of the last prediction cache stand, and of which files that was made.
        fork_server: The `ForkServer` that starts workers of engine `local`, while there is one.

    Args:
        environ: The environment of the process.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self.models = ModelCache(resident_bytes)
        self.device = ProcessDevice(environ)
        self.modules = ModelModules()
        self.threads = ThreadLimits(environ)
        self.deadlines = StepDeadlines(environ)
        self.failpoints = Failpoints(environ.get("SPARK_INFER_FAULT", ""), environ)
        self.stop_signals = StopSignals()
        self.hashed_entries: set[Path] = set()
        self.ceilings: dict[Hashable, MemoryCeiling] = {}
        self.batch_searches: dict[Hashable, BatchSearch] = {}
        self.models_warned_of: set[str] = set()
        self.prediction_index: tuple[Hashable, Any] | None = None
        self.fork_server: Any = None


_state = ProcessState(os.environ)


def begin() -> None:
    """Begin a process that was forked: it keeps nothing of the one before."""
    global _state
    _state = ProcessState(os.environ)


def this_process() -> ProcessState:
    """Return the state of this process."""
    return _state
