"""ONNX models in onnxruntime, without MLflow, pandas or the onnx package in the worker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spark_infer.core.outputs import Predictions, Values
from spark_infer.core.prediction_columns import signature_outputs
from spark_infer.core.signature import TENSOR_DTYPES
from spark_infer.errors import ModelRefusedError, nearest
from spark_infer.models.backends.equal_lengths import by_length
from spark_infer.models.backends.graph import Port, check_external, port, read_graph
from spark_infer.models.backends.onnx_inputs import DTYPES, plan_feeds, signature_binding
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.runtime.process_state import this_process

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_MAPS = re.compile(r"seq\(map\((\w+),tensor\((\w+)\)\)\)")


def unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
    """Say why pyfunc must serve a model.

    What neither backend can serve is refused here, by the file alone: weights that are missing, and a signature
    that does not fit the graph.

    Raises:
        ModelRefusedError: The model cannot be served at all.
    """
    if options.predict_method not in (None, ("predict",)):
        return "an ONNX model has the method 'predict' alone"
    flavor = mlmodel.flavors["onnx"]
    foreign = [name for name, _ in _providers(flavor) if name not in (_CPU, _CUDA)]
    if foreign:
        return f"it asks for the execution provider {foreign[0]!r}"
    path = folder / flavor["data"]
    graph = read_graph(path)
    check_external(graph, path, folder)
    if mlmodel.signature is not None and mlmodel.signature.inputs:
        plan_feeds(signature_binding(mlmodel.signature), graph.inputs)
        _promised(mlmodel, [each.name for each in graph.outputs])
    return None


def load(spec: LoadSpec, folder: Path) -> OnnxModel:
    """Open a session on an ONNX file.

    Raises:
        ModelRefusedError: What arrives does not fit the graph.
        DeviceError: A GPU was asked for, and onnxruntime does not see it.
    """
    flavor = spec.mlmodel.flavors["onnx"]
    return OnnxModel(open_session(folder / flavor["data"], flavor, spec), spec)


def open_session(path: Path, flavor: Mapping[str, Any], spec: LoadSpec) -> InferenceSession:
    """Open a session on an ONNX file, on the device and the threads of the task.

    Args:
        path: The file.
        flavor: The author's settings of the session.
        spec: How it is loaded here.

    Raises:
        DeviceError: A GPU was asked for, and onnxruntime does not see it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    saved = flavor.get("onnx_session_options") or {}
    if saved.get("graph_optimization_level"):
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(saved["graph_optimization_level"])
    for key, value in (saved.get("extra_session_config") or {}).items():
        options.add_session_config_entry(key, value)
    # The task's cores, not the author's; and a thread that spins takes a core from the tasks beside it.
    options.intra_op_num_threads = spec.threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if spec.device != "cpu" and _CUDA in onnxruntime.get_available_providers():
        settings = {**dict(_providers(flavor)).get(_CUDA, {}), "device_id": spec.device.partition(":")[2] or "0"}
        session = onnxruntime.InferenceSession(path, options, providers=[(_CUDA, settings), _CPU])
        # It falls back to the cpu in silence where CUDA does not start.
        if _CUDA in session.get_providers():
            this_process().device.settle(spec, seen=True, framework="onnxruntime")
            return session
    this_process().device.settle(spec, seen=False, framework="onnxruntime")
    return onnxruntime.InferenceSession(path, options, providers=[_CPU])


def _providers(flavor: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    listed = flavor.get("providers") or []
    entries = [listed] if isinstance(listed, str) else listed
    return [(each, {}) if isinstance(each, str) else (str(each[0]), dict(each[1])) for each in entries]


def _promised(mlmodel: MLModel, returned: Sequence[str]) -> tuple[str | None, ...] | None:
    """Names under which the signature expects the outputs; None where it declares none.

    A signature that names no output means the graph's, by position.
    """
    outputs = () if mlmodel.signature is None else mlmodel.signature.outputs
    if not outputs:
        return None
    names = [item.name for item in outputs if item.name is not None]
    if not names and len(outputs) == len(returned):
        return (None,) if len(outputs) == 1 else tuple(str(index) for index in range(len(outputs)))
    missing = [name for name in names if name not in returned]
    if not names or missing:
        listed = [f"{name!r}{nearest(name, returned)}" for name in missing]
        raise ModelRefusedError(
            "The model's signature does not fit its ONNX graph.",
            details=[
                f"it promises {', '.join(listed) if listed else f'{len(outputs)} output(s) without names'}",
                f"the graph returns {list(returned)}",
            ],
            next_step="log the model with the outputs that its pyfunc returns: mlflow.models.infer_signature(inputs, "
            "pyfunc_model.predict(inputs)).",
        )
    return tuple(returned)


class OnnxModel:
    """A session fed with one array for each input of its graph."""

    def __init__(self, session: InferenceSession, spec: LoadSpec) -> None:
        self._session: InferenceSession | None = session
        inputs = [port(each.name, each.type, each.shape) for each in session.get_inputs()]
        self._outputs = [port(each.name, each.type, each.shape) for each in session.get_outputs()]
        self._feeds = () if spec.binding.is_open else plan_feeds(spec.binding, inputs)
        returned = tuple(each.name for each in self._outputs)
        self._names = (_promised(spec.mlmodel, returned) if spec.by_signature else None) or returned
        declared = signature_outputs(spec.mlmodel.signature) if spec.by_signature else None
        self._structs = {field.name for field in declared or () if pa.types.is_struct(field.type)}
        self._one_by_one = any(each.shape is not None and each.shape[:1] == (1,) for each in inputs)
        self._binding = spec.binding

    @property
    def how(self) -> str:
        """How batches reach the session, for the plan."""
        count = "one array" if len(self._feeds) == 1 else f"{len(self._feeds)} arrays"
        if self._one_by_one:
            return f"{count} for each row: the graph takes one row at a time; export it with dynamic axes to be faster"
        return f"{count} for each batch, no pandas"

    def outputs(self) -> pa.Schema | None:
        """Columns that the graph says it returns; None where it leaves a shape open."""
        types = [_arrow_type(each) for each in self._outputs]
        if any(each is None for each in types):
            return None
        return pa.schema([pa.field(each.name, type_) for each, type_ in zip(self._outputs, types, strict=True)])

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Run the graph once for each batch, or for each length in it; outputs go by the graph's names."""
        return by_length(inputs, self._binding, self._predict)

    def _predict(self, inputs: pa.RecordBatch) -> Predictions:
        feeds = {feed.port.name: feed.array(inputs) for feed in self._feeds}
        results = self._run(feeds, inputs.num_rows)
        return {
            name: self._values(port, result, inputs.num_rows)
            for name, port, result in zip(self._names, self._outputs, results, strict=True)
        }

    def _run(self, feeds: dict[str, Any], rows: int) -> list[Any]:
        assert self._session is not None
        names = [each.name for each in self._outputs]
        if not self._one_by_one:
            return list(self._session.run(names, feeds))
        runs = [
            self._session.run(names, {name: array[row : row + 1] for name, array in feeds.items()})
            for row in range(rows)
        ]
        return [
            np.concatenate(each) if isinstance(each[0], np.ndarray) else [one for part in each for one in part]
            for each in zip(*runs, strict=True)
        ]

    def _values(self, port: Port, result: Any, rows: int) -> Values:
        maps = _MAPS.fullmatch(port.kind)
        if maps is not None:
            if port.name in self._structs:
                return [{str(key): value for key, value in row.items()} for row in result]
            result = pa.array(result, _map_type(maps))
        elif not self._binding.tensors and isinstance(result, np.ndarray) and result.shape[:1] != (rows,):
            # MLflow flattens what it puts into a frame, so that a row of values is a column too.
            result = result.reshape(-1)
        values: Values = result
        return values

    def close(self) -> None:
        """Let go of the session."""
        self._session = None


def _arrow_type(port: Port) -> pa.DataType | None:
    maps = _MAPS.fullmatch(port.kind)
    if maps is not None:
        return _map_type(maps)
    element = port.kind.removeprefix("tensor(").removesuffix(")")
    if element not in DTYPES or not port.shape:
        return None
    type_ = TENSOR_DTYPES[_numpy_name(element)]
    if len(port.shape) == 2 and port.shape[1] == 1:
        return type_
    for _ in port.shape[1:]:
        type_ = pa.list_(type_)
    return type_


def _map_type(maps: re.Match[str]) -> pa.DataType:
    return pa.map_(TENSOR_DTYPES[_numpy_name(maps[1])], TENSOR_DTYPES[_numpy_name(maps[2])])


def _numpy_name(element: str) -> str:
    return "str" if element == "string" else np.dtype(DTYPES[element]).name
