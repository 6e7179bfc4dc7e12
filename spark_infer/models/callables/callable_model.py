"""A plain Python function or class as a model, as its user writes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import pyarrow as pa

from spark_infer.errors import ConfigError
from spark_infer.models.callables.python_code import BatchFormat
from spark_infer.models.ref import ModelRef
from spark_infer.printable import kind_in_words

SCHEME = "python"
"""Of the URI of such a model: ``python:package.module:name``."""


class Predictor(Protocol):
    """An object that takes batches."""

    @property
    def predict(self) -> Callable[..., Any]:
        """Return the method that takes them."""


@dataclass(frozen=True)
class CallableModel:
    """A plain Python function or class as a model, with what its code does not say.

    A function takes a batch and returns its predictions, row for row. A class is made once in each worker process:
    ``__init__`` with ``arguments``, then ``setup()`` where it has one; ``predict``, else ``__call__``, takes the
    batches. An object is pickled with all it holds, and its ``setup()`` is called in the worker.

    Attributes:
        predictor: The function, class or object; or ``package.module:name``, which is imported where it runs.
        inputs: The columns it takes: names, DDL (``age int, income double``) or an Arrow schema. Without it, those
            that its annotation names (a ``TypedDict``), or the option ``inputs``.
        outputs: What it returns, as an Arrow schema; the option ``result_type`` says it in DDL.
        batch_format: What it gets: a dict of numpy arrays (``numpy``), a frame (``pandas``) or a
            ``pyarrow.RecordBatch`` (``pyarrow``). ``auto`` goes by the annotation of its parameter, else ``numpy``.
        arguments: Keyword arguments for the constructor of a class; values that JSON can hold.
        name: What plans, reports and the column ``model_name`` call it; by default its own name.

    Example:
        >>> def late(batch):
        ...     return batch["dep_delay"] - 9.0
        >>> model = CallableModel(late, inputs=["dep_delay"])
        >>> score(flights, model, result_type="double", keep=["flight_id"]).orderBy("flight_id").show()
        +---------+----------+
        |flight_id|prediction|
        +---------+----------+
        |        1|      -7.0|
        |        2|      24.0|
        |        3|     -13.0|
        +---------+----------+
        <BLANKLINE>
    """

    predictor: Callable[..., Any] | Predictor | str
    inputs: str | Sequence[str] | pa.Schema | None = None
    outputs: pa.Schema | None = None
    batch_format: BatchFormat = "auto"
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    name: str | None = None


AnyModel = str | os.PathLike[str] | ModelRef | Callable[..., Any] | Predictor | CallableModel
"""What a door takes as a model: a URI, one that is pinned, or plain Python."""


def as_callable_model(model: object) -> CallableModel | None:
    """Return a plain Python function, class or object as a model; None for what names a model of MLflow.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(model, CallableModel):
        return model
    if isinstance(model, str):
        scheme, _, target = model.partition(":")
        return CallableModel(target) if scheme == SCHEME else None
    if isinstance(model, ModelRef | os.PathLike | Mapping):
        return None
    if callable(model) or callable(getattr(model, "predict", None)):
        return CallableModel(cast("Predictor", model))
    raise ConfigError(
        f"The model is {kind_in_words(model)}, which is neither a URI nor a function of batches.",
        next_step="pass a model URI, a ModelRef, a function of a batch, or a class or object with `predict(self, "
        "batch)`.",
    )
