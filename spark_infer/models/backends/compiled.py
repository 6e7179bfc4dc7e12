"""A model that was compiled on the driver: an ONNX graph in onnxruntime, and what values it may be given.

Its folder holds `model.onnx` and `compiled.json`; neither the model's own library nor its files are needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.core.convert import to_numpy
from spark_infer.core.outputs import Predictions
from spark_infer.core.signature import is_list
from spark_infer.errors import InputValueError
from spark_infer.models.backends.native.onnx import open_session
from spark_infer.models.backends.numbers import refuse_missing_truth, to_matrix
from spark_infer.models.backends.spec import LoadSpec

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

GRAPH = "model.onnx"
FACTS = "compiled.json"
MATRIX = "X"
"""Name of the graph's input where it takes one matrix."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What one method returns.

    Attributes:
        port: The graph's output.
        names: Name of each of its columns; None leaves them to the signature, or to `prediction`.
        dtype: Numpy's name of the type that the original returns.
        flat: Whether it returns one value for each row and not a matrix.
    """

    port: str
    names: tuple[str, ...] | None
    dtype: str
    flat: bool


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The values of a column for which the graph answers as the original: up to ``most``, and NaN where it may."""

    nan: bool
    most: float


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What `compiled.json` says.

    Attributes:
        width: Columns of the one matrix that the graph takes.
        dtype: Its type.
        columns: Each input of the graph and whether it is text, where it takes columns by name; else empty.
        outputs: What each method returns.
        limits: The floating columns that have limits.
    """

    width: int
    dtype: str
    columns: tuple[tuple[str, bool], ...]
    outputs: tuple[Output, ...]
    limits: Mapping[str, Limit]

    def write(self, folder: Path) -> None:
        """Write the file."""
        (folder / FACTS).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Facts:
        """Read the file."""
        saved = json.loads((folder / FACTS).read_bytes())
        return cls(
            width=saved["width"],
            dtype=saved["dtype"],
            columns=tuple((name, text) for name, text in saved["columns"]),
            outputs=tuple(
                Output(**{**each, "names": None if each["names"] is None else tuple(each["names"])})
                for each in saved["outputs"]
            ),
            limits={name: Limit(**each) for name, each in saved["limits"].items()},
        )


def load(spec: LoadSpec, folder: Path) -> CompiledModel:
    """Open a session on a compiled model."""
    return CompiledModel(open_session(folder / GRAPH, {}, spec), Facts.read(folder), spec)


class CompiledModel:
    """A session fed with one matrix, or with one array for each column."""

    def __init__(self, session: InferenceSession, facts: Facts, spec: LoadSpec) -> None:
        self._session: InferenceSession | None = session
        self._facts, self._binding = facts, spec.binding
        self._ports = [each.port for each in facts.outputs]

    @property
    def how(self) -> str:
        """How batches reach the session, for the plan."""
        arrays = f"{len(self._facts.columns)} arrays" if self._facts.columns else "one matrix"
        return f"{arrays} for each batch, no pandas"

    def outputs(self) -> pa.Schema | None:
        """None: the outputs are the original's."""
        return None

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Run the graph once for each batch.

        Raises:
            InputValueError: A value for which the graph is not known to answer as the original does.
        """
        assert self._session is not None
        for name, limit in self._facts.limits.items():
            _refuse_beyond(inputs.column(name), name, limit)
        results = self._session.run(self._ports, self._feeds(inputs))
        predictions: dict[str | None, Any] = {}
        for output, result in zip(self._facts.outputs, results, strict=True):
            values = _as_original(result, output)
            if output.names is None or len(output.names) == 1:
                predictions[None if output.names is None else output.names[0]] = values
            else:
                predictions |= dict(zip(output.names, values.T, strict=True))
        return predictions

    def _feeds(self, inputs: pa.RecordBatch) -> dict[str, npt.NDArray[Any]]:
        if not self._facts.columns:
            return {MATRIX: to_matrix(inputs, self._binding, self._facts.dtype)}
        return {
            name: _text(inputs.column(name), name) if text else _numbers(inputs, name, self._facts.dtype)
            for name, text in self._facts.columns
        }

    def close(self) -> None:
        """Let go of the session."""
        self._session = None


def _as_original(result: npt.NDArray[Any], output: Output) -> npt.NDArray[Any]:
    values = result.reshape(-1) if output.flat else result
    return values if output.dtype == "object" else values.astype(output.dtype, copy=False)


def _numbers(inputs: pa.RecordBatch, name: str, dtype: str) -> npt.NDArray[Any]:
    refuse_missing_truth(inputs.column(name), name)
    return to_numpy(inputs.column(name), name).astype(dtype, copy=False).reshape(-1, 1)


def _text(array: pa.Array, name: str) -> npt.NDArray[Any]:
    if array.null_count:
        raise InputValueError(
            f"Column {name!r} holds {array.null_count} missing text(s) in a batch of {len(array)} rows; a compiled "
            "model has no missing text.",
            next_step="fill them in a preprocess function, or leave `compile` out.",
        )
    return to_numpy(array, name).astype(object, copy=False).reshape(-1, 1)


def _refuse_beyond(array: pa.Array, name: str, limit: Limit) -> None:
    values = array
    while is_list(values.type):
        values = values.flatten()
    extremes = pc.min_max(values)  # looks past NaN
    reach = max(abs(each.as_py() or 0.0) for each in extremes.values())
    missing = not limit.nan and (values.null_count or pc.any(pc.is_nan(values)).as_py())
    if not missing and reach <= limit.most:
        return
    what = "a missing value" if missing else "an infinite value, or one that is too large"
    raise InputValueError(
        f"Column {name!r} holds {what}; the compiled model is not known to treat it as the original does, which may "
        "refuse it.",
        next_step="filter or replace such values with `where` or a preprocess function, or leave `compile` out.",
    )
