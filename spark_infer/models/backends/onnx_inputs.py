"""What an ONNX graph is fed: each of its inputs made of the model's columns or tensors, as MLflow's pyfunc makes it.

MLflow gives a graph with one input the frame's values, and one with several inputs a column each; it casts doubles to
floats where the graph takes floats, and nothing else (`mlflow.onnx._OnnxModelWrapper.predict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.binding import Binding, BoundColumn, TensorInput
from spark_infer.core.convert import matrix, numpy_dtype, tensor, to_numpy
from spark_infer.core.signature import Signature, Tensor, spelled
from spark_infer.errors import InputValueError, ModelRefusedError, nearest
from spark_infer.models.backends.graph import Port

_SAME_NAME = ("bool", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = {name: np.dtype(name) for name in _SAME_NAME} | {
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "string": np.dtype(object),
}
"""Element types of onnxruntime that numpy has."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """How one input of a graph is made; ``tensor`` is None where it is made of columns.

    Attributes:
        port: The input.
        columns: The columns it is made of.
        made_as: What they are put together as, before the cast to what the graph takes.
        tensor: The tensor it is.
    """

    port: Port
    columns: tuple[str, ...]
    made_as: np.dtype[Any]
    tensor: TensorInput | None = None

    def array(self, batch: pa.RecordBatch) -> npt.NDArray[Any]:
        """Make the input from a batch.

        Raises:
            InputValueError: A null that its type cannot hold.
        """
        # A double too large for a float becomes infinite, as in MLflow's cast.
        with np.errstate(over="ignore"):
            return self._array(batch)

    def _array(self, batch: pa.RecordBatch) -> npt.NDArray[Any]:
        if self.tensor is not None:
            return tensor(batch, self.tensor).astype(_dtype(self.port), copy=False)
        arrays = [batch.column(name) for name in self.columns]
        for name, column in zip(self.columns, arrays, strict=True):
            if pa.types.is_boolean(column.type) and column.null_count and self.made_as.kind != "O":
                raise InputValueError(
                    f"Column {name!r} holds a null, and the model's boolean input has no missing value.",
                    next_step="filter these rows out with `where`, or fill them in a preprocess function.",
                )
        return self._put_together(arrays).reshape(self._shape(batch.num_rows))

    def _put_together(self, arrays: Sequence[pa.Array]) -> npt.NDArray[Any]:
        wanted = _dtype(self.port)
        if len(arrays) == 1:
            made = to_numpy(arrays[0], self.columns[0]).astype(self.made_as, copy=False)
            return made.astype(wanted, copy=False)
        if self.made_as.kind == "O":
            out = np.empty((len(arrays[0]), len(arrays)), dtype=object)
            for index, column in enumerate(arrays):
                out[:, index] = to_numpy(column, self.columns[index]).astype(object)
            return out
        # By way of doubles only where that rounds differently: a long has more digits than a double.
        exact = not any(column.type in (pa.int64(), pa.uint64()) for column in arrays)
        return matrix(arrays, self.columns, wanted if exact else self.made_as).astype(wanted, copy=False)

    def _shape(self, rows: int) -> tuple[int, ...]:
        flat = self.port.shape is not None and len(self.port.shape) == 1
        return (rows,) if flat else (rows, len(self.columns))


def plan_feeds(binding: Binding, ports: Sequence[Port]) -> tuple[Feed, ...]:
    """Decide how the inputs of a graph are made.

    Args:
        binding: The columns and tensors that arrive.
        ports: The graph's inputs.

    Raises:
        ModelRefusedError: They do not fit each other; every problem listed.
    """
    problems: list[str] = []
    if binding.tensors:
        feeds = _of_tensors(binding.tensors, ports, problems)
    else:
        columns = [column for column in binding.columns if column.source is not None]
        feeds = _of_columns(columns, ports, problems)
    problems += [
        f"input {port.name!r} takes exactly {port.shape[0]} rows at a time: export it with dynamic axes"
        for port in ports
        if port.shape and port.shape[0] not in (None, 1)
    ]
    if problems:
        raise ModelRefusedError(
            f"The model's signature does not fit its ONNX graph: {len(problems)} problem(s).",
            details=problems,
            next_step="log the model with a signature of what its graph takes and returns: "
            "mlflow.models.infer_signature(inputs, pyfunc_model.predict(inputs)).",
        )
    return feeds


def signature_binding(signature: Signature) -> Binding:
    """Tell what will arrive by the signature alone, whatever the table's columns are called."""
    names = [item.name if item.name is not None else str(index) for index, item in enumerate(signature.inputs)]
    columns: list[BoundColumn] = []
    tensors: list[TensorInput] = []
    for name, item in zip(names, signature.inputs, strict=True):
        if isinstance(item, Tensor):
            tensors.append(TensorInput(name=item.name, columns=(name,), dtype=item.dtype, shape=item.shape))
        else:
            columns.append(BoundColumn(source=name, target=name, type=item.type))
    return Binding(columns=tuple(columns), tensors=tuple(tensors))


def _of_tensors(tensors: Sequence[TensorInput], ports: Sequence[Port], problems: list[str]) -> tuple[Feed, ...]:
    if len(tensors) == 1 and tensors[0].name is None:
        if len(ports) != 1:
            problems.append(f"the signature has one unnamed tensor, the graph takes {[port.name for port in ports]}")
            return ()
        return tuple(_of_tensor(tensors[0], ports[0], problems))
    named = {tensor.name: tensor for tensor in tensors if tensor.name is not None}
    taken = [port.name for port in ports]
    problems += [f"the graph has no input {name!r}{nearest(name, taken)}" for name in named if name not in taken]
    problems += [f"the graph's input {name!r} is not in the signature" for name in taken if name not in named]
    return tuple(feed for port in ports if port.name in named for feed in _of_tensor(named[port.name], port, problems))


def _of_tensor(spec: TensorInput, port: Port, problems: list[str]) -> list[Feed]:
    text = spec.dtype == "object" or spec.dtype.startswith(("str", "<U", "U"))
    made_as = np.dtype(object if text else spec.dtype)
    if not _takes(port, made_as):
        problems.append(f"input {port.name!r} takes {port.kind}, the signature says {spec.dtype}")
    elif port.shape is not None and not _same_shape(spec.shape, port.shape):
        problems.append(
            f"input {port.name!r} has shape {_described(port.shape)}, the signature says {list(spec.shape)}"
        )
    else:
        return [Feed(port=port, columns=spec.columns, made_as=made_as, tensor=replace(spec, dtype=made_as.name))]
    return []


def _of_columns(columns: Sequence[BoundColumn], ports: Sequence[Port], problems: list[str]) -> tuple[Feed, ...]:
    if len(ports) == 1:
        return tuple(_of_all(columns, ports[0], problems))
    named = {column.target: column for column in columns}
    problems += [
        f"the graph takes an input {port.name!r}, the model has no such column{nearest(port.name, named)}"
        for port in ports
        if port.name not in named
    ]
    return tuple(feed for port in ports if port.name in named for feed in _of_all([named[port.name]], port, problems))


def _of_all(columns: Sequence[BoundColumn], port: Port, problems: list[str]) -> list[Feed]:
    made_as = _common(columns)
    width = len(columns)
    shapes: tuple[tuple[int, ...], ...] = ((-1, width), (-1,)) if width == 1 else ((-1, width),)
    if made_as is None or not _takes(port, made_as):
        types = ", ".join(dict.fromkeys(spelled(column.type) for column in columns))
        problems.append(f"input {port.name!r} takes {port.kind}, its column(s) are {types}")
    elif port.shape is not None and not any(_same_shape(shape, port.shape) for shape in shapes):
        problems.append(
            f"input {port.name!r} has shape {_described(port.shape)}, the signature has {width} column(s) for it"
        )
    else:
        return [Feed(port=port, columns=tuple(column.target for column in columns), made_as=made_as)]
    return []


def _common(columns: Sequence[BoundColumn]) -> np.dtype[Any] | None:
    """The dtype of a frame's values, as pandas finds it; None where nothing that ONNX takes comes of it."""
    types = [column.type for column in columns]
    if all(pa.types.is_integer(each) or pa.types.is_floating(each) for each in types):
        return np.result_type(*map(numpy_dtype, types)) if types else None
    if all(pa.types.is_boolean(each) for each in types):
        return np.dtype(np.bool_)
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string)
    return np.dtype(object) if all(any(test(each) for test in plain) for each in types) else None


def _takes(port: Port, made_as: np.dtype[Any]) -> bool:
    wanted = DTYPES.get(port.kind.removeprefix("tensor(").removesuffix(")"))
    return wanted is not None and (made_as == wanted or (made_as == np.float64 and wanted == np.float32))


def _dtype(port: Port) -> np.dtype[Any]:
    return DTYPES[port.kind.removeprefix("tensor(").removesuffix(")")]


def _same_shape(shape: Sequence[int], taken: Sequence[int | None]) -> bool:
    inner = zip(shape[1:], taken[1:], strict=False)
    return len(shape) == len(taken) and all(size == -1 or wanted in (None, size) for size, wanted in inner)


def _described(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
