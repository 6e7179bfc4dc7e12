"""What a backend gets when it loads a model, and what it returns; plain values and a Protocol."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from spark_infer.core.binding import Binding
from spark_infer.core.scoring_steps import Model
from spark_infer.errors import PlanError

if TYPE_CHECKING:
    from spark_infer.models.mlmodel import MLModel
    from spark_infer.runtime.model_process import ProcessLimits


COMPILED = "compiled"
"""Name of the backend that runs a compiled model."""

COMPILED_TEXTS = "compiled_texts"
"""Name of the backend that runs a compiled model of texts."""

COMPILED_TREES = "compiled_trees"
"""Name of the backend that runs trees compiled to machine code."""

CALLABLE = "callable"
"""Name of the backend that runs a plain Python function or class."""


_ANSWERS = 1
"""Changes when a backend answers otherwise than in the version before, or rows are hashed otherwise."""


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A compiled model in the store."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class LoadSpec:
    """All a backend needs to load a model; plain values.

    Attributes:
        backend: Name of the backend: the flavor of a native one, or ``pyfunc``.
        mlmodel: The parsed ``MLmodel``.
        methods: Methods to call for each batch.
        by_signature: Whether the outputs are those that the signature declares, unnamed ones in its order.
        binding: How the inputs will arrive.
        params: Inference parameters, complete; empty where the model takes none.
        config: What replaces values of the model's own configuration.
        extra_env: Environment variables that it has while it loads and predicts; never shown.
        threads: Threads the model may use.
        device: ``cpu``, or ``cuda:0``: the one device that this process sees. The driver always loads on the cpu.
        address: What Spark assigned to the task, for example ``1``; None without a GPU.
        allow_cpu_fallback: Whether the cpu will do where a GPU was asked for and is not seen.
        show_values: Whether messages of foreign exceptions may be shown.
        accelerate: Whether a faster way to the same answers may be taken (`models.accelerate`).
        artefact: What is loaded in place of the model's own files; None loads these.
        dtype: The type of numbers that a PyTorch model computes with: ``bfloat16``, ``float16``, or "" for its own.
        hosted: Whether the model lives in the model host of its executor, which workers feed.
        isolation: What a process of its own may take that the model has in a worker; None leaves it in the worker's.
    """

    backend: str
    mlmodel: MLModel
    methods: tuple[str, ...]
    by_signature: bool
    binding: Binding
    params: Mapping[str, Any] = field(repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extra_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    threads: int
    device: str = "cpu"
    address: str | None = None
    allow_cpu_fallback: bool = False
    show_values: bool = False
    accelerate: bool = True
    artefact: Artefact | None = None
    dtype: str = ""
    hosted: bool = False
    isolation: ProcessLimits | None = None

    def files(self, digest: str) -> str:
        """Return the digest of the files to load, for a model's own."""
        return digest if self.artefact is None else self.artefact.digest

    def key(self, digest: str) -> tuple[str, ...]:
        """What makes the loaded model unique in a process; by which table columns it is fed does not."""
        how = (*self._asked, self.threads, self.accelerate)
        device = (self.device, self.address or "", "hosted" if self.hosted else repr(self.isolation))
        return (self.files(digest), self.backend, *device, repr(how), self._config, self.variables_digest)

    def answers_digest(self, digest: str, outputs: pa.Schema) -> str:
        """Return one text for all that decides the answer to a row besides the row; where it is computed does not.

        Args:
            digest: The model's.
            outputs: What the model returns.
        """
        returned = [(field.name, str(field.type)) for field in outputs]
        decides = (_ANSWERS, self.files(digest), self.backend, self._asked, self._config, self.variables_digest)
        return hashlib.sha256(repr((*decides, returned)).encode()).hexdigest()

    @property
    def _asked(self) -> tuple[Any, ...]:
        inputs = [(column.target, str(column.type), column.source is None) for column in self.binding.columns]
        fed = (inputs, self.binding.numbered, self.binding.tensors)
        return (self.methods, self.by_signature, fed, sorted(self.params.items()), self.dtype)

    @property
    def _config(self) -> str:
        # Python's notation keeps apart what JSON's does not: orders, lists and tuples, numbers and texts as keys.
        return repr(dict(self.config))

    @property
    def variables_digest(self) -> str:
        """Stands for `extra_env` where its values must not."""
        return hashlib.sha256(json.dumps(self.extra_env, sort_keys=True).encode()).hexdigest()


class Described(Protocol):
    """A model that can tell about itself once it is loaded."""

    @property
    def how(self) -> str:
        """How batches reach it, one sentence for the plan."""
        ...

    def outputs(self) -> pa.Schema | None:
        """Columns it returns, where it knows; None where only its signature could say."""
        ...


class NotLoaded:
    """Stands for a model in a plan that loads none."""

    how = "how batches reach it is known once it is loaded"

    def outputs(self) -> pa.Schema | None:
        """Refuse to answer: without its signature only the loaded model knows.

        Raises:
            PlanError: Always.
        """
        raise PlanError(
            "Nothing but the loaded model says what it returns, and this plan does not load it.",
            details=["its signature does not declare these outputs"],
            next_step="say what it returns with result_type, or let the plan load the model.",
        )


class LoadedModel(Described, Model, Protocol):
    """A model that is loaded in this process.

    One whose answer for a row is known to depend on that row alone has an attribute ``by_row`` that is true. One that
    is faster in other batches than the usual ones says so with ``batch_rows``. One that may be asked in a faster way
    is an `accelerate.accelerated.Accelerated`, and says how with ``acceleration``.
    """
