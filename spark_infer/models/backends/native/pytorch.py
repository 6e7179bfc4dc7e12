"""PyTorch models without MLflow and pandas in the worker, wherever a batch can be one tensor."""

from __future__ import annotations

import importlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.convert import matrix, own, tensor
from spark_infer.core.exception_text import text_of
from spark_infer.core.outputs import Predictions
from spark_infer.core.signature import Tensor as TensorSpec
from spark_infer.errors import ModelLoadError, ModelRefusedError, PredictionShapeError
from spark_infer.models.backends.equal_lengths import by_length
from spark_infer.models.backends.exportable import not_exportable
from spark_infer.models.backends.pickled import check_importable, imported_by, may_unpickle, require_unpickling
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.backends.torch_device import prepare_torch, set_dtype

if TYPE_CHECKING:
    import torch

    from spark_infer.config import ScoreOptions
    from spark_infer.models.mlmodel import MLModel

_ROWS_APART = "log it again with an input_example of two or more rows, so that the number of rows stays open."
_ROWS_IN_CACHES = 4_096
"""Measured with layers of 512 units: 7 % faster than batches of 10,000, as fast as those of 2,000."""


def unfit(mlmodel: MLModel, options: ScoreOptions, folder: Path) -> str | None:
    """Say why pyfunc must serve a model.

    Raises:
        ModelRefusedError: Neither backend can: the model's class is missing, or its inputs have no order.
    """
    if options.predict_method not in (None, ("predict",)):
        return "a PyTorch model has the method 'predict' alone"
    if mlmodel.signature is not None and mlmodel.signature.params:
        return "its forward takes inference parameters"
    if not may_unpickle():
        return "MLFLOW_ALLOW_PICKLE_DESERIALIZATION is off, and MLflow checks what may be loaded then"
    flavor = mlmodel.flavors["pytorch"]
    data = folder / flavor["model_data"]
    pickled = _pickle_of(data / "model.pth")
    needed = imported_by(pickled) if pickled else []
    if any(module.startswith("pytorch_forecasting") for module, _ in needed):
        return "a forecasting model takes a frame"
    # Torch itself is another question, which loading answers.
    check_importable(
        [each for each in needed if each[0].partition(".")[0] != "torch"],
        [folder / flavor["code"]] if flavor.get("code") else [],
    )
    named = [item for item in mlmodel.signature.inputs if item.name] if mlmodel.signature is not None else []
    if any(isinstance(item, TensorSpec) for item in named) and not (data / "model.pt2").exists():
        raise ModelRefusedError(
            "The model's signature names its tensors, and MLflow's PyTorch flavor hands over one without a name.",
            next_step="log it with an unnamed tensor or with columns, or with serialization_format='pt2', which gives "
            "several tensors an order.",
        )
    return None


def load(spec: LoadSpec, folder: Path) -> TorchModel:
    """Load a module that MLflow saved as a pickle, TorchScript or an exported program.

    Raises:
        ModelLoadError: Its class cannot be imported, or unpickling is switched off.
        ModelRefusedError: It was exported for a fixed number of rows.
        DeviceError: A GPU was asked for, and torch does not see it.
    """
    require_unpickling(otherwise=", or use backend='pyfunc' for a model saved as pt2")
    device = prepare_torch(spec)
    data = folder / spec.mlmodel.flavors["pytorch"]["model_data"]
    if (data / "model.pt2").exists() and not (data / "model.pth").exists():
        module, rows = _exported(data / "model.pt2", device)
        if spec.dtype:
            raise not_exportable("it is an exported program, which computes with the numbers that it was exported with")
        return TorchModel(module, spec, device, one_by_one=rows == 1)
    module = _unpickled(data, device)
    set_dtype(module, spec.dtype)
    return TorchModel(module, spec, device)


def _pickle_of(path: Path) -> bytes:
    """The pickle of a module's structure; empty for TorchScript, exported programs and torch's old format."""
    if not zipfile.is_zipfile(path) or _is_torchscript(path):
        return b""
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        return archive.read(name) if name is not None else b""


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _unpickled(data: Path, device: str) -> torch.nn.Module:
    import torch

    path = data / "model.pth"
    if _is_torchscript(path):
        scripted: torch.nn.Module = torch.jit.load(path, map_location=device).eval()  # type: ignore[no-untyped-call]
        return scripted
    try:
        loaded = torch.load(
            path,
            map_location=device,
            pickle_module=_pickle_module(data),
            weights_only=False,
            mmap=zipfile.is_zipfile(path),  # workers of a node share the weights' pages; torch's old format has none
        )
    except (ImportError, AttributeError) as error:
        raise ModelLoadError(
            f"The model needs code that this Python cannot import ({type(error).__name__}: {text_of(error)}).",
            details=["a pickled model holds the name of its class, not its code"],
            next_step="log the model again with code_paths=[…] for its own modules, or install the packages of its "
            "requirements.txt in the Python of the workers.",
        ) from error
    module: torch.nn.Module = loaded.to(device).eval()
    return module


def _pickle_module(data: Path) -> ModuleType:
    # MLflow's and cloudpickle's modules read with pickle itself; only they write in another way.
    name = (data / "pickle_module_info.txt").read_text().strip()
    return (
        pickle if name in ("mlflow.pytorch.pickle_module", "cloudpickle", "pickle") else importlib.import_module(name)
    )


def _exported(path: Path, device: str) -> tuple[torch.nn.Module, int | None]:
    import torch
    from torch.export.passes import move_to_device_pass

    program = torch.export.load(path)
    inputs = (node.meta.get("val") for node in program.graph.nodes if node.name in program.graph_signature.user_inputs)
    fixed = [each.shape[0] for each in inputs if getattr(each, "ndim", 0) and isinstance(each.shape[0], int)]
    if any(size != 1 for size in fixed):
        raise ModelRefusedError(f"The model was exported for exactly {fixed[0]} rows at a time.", next_step=_ROWS_APART)
    if any(each.device.type != torch.device(device).type for each in program.state_dict.values()):
        program = move_to_device_pass(program, device)
    return program.module(), fixed[0] if fixed else None


class TorchModel:
    """A module in evaluation mode, fed with one tensor for each input."""

    def __init__(self, module: torch.nn.Module, spec: LoadSpec, device: str, *, one_by_one: bool = False) -> None:
        import torch

        self._module: torch.nn.Module | None = module
        self._binding = spec.binding
        self._device = device
        self._dtype = spec.dtype
        self._one_by_one = one_by_one
        self._mode: Any = torch.inference_mode
        present = [column for column in spec.binding.columns if column.source is not None]
        self._odd = [
            column.target
            for column in present
            if not (
                pa.types.is_integer(column.type)
                or pa.types.is_floating(column.type)
                or pa.types.is_boolean(column.type)
            )
        ]

    @property
    def batch_rows(self) -> int | None:
        """On the CPU, as many rows as keep what layers hand on in its caches."""
        return _ROWS_IN_CACHES if self._device == "cpu" else None

    @property
    def how(self) -> str:
        """How batches reach the module, for the plan."""
        if self._one_by_one:
            return f"one tensor for each row: it was exported for one row at a time; to be faster, {_ROWS_APART[:-1]}"
        if self._odd and not self._binding.tensors:
            return f"a pandas frame for each batch: column {self._odd[0]!r} is not a number"
        return "one tensor for each batch, no pandas"

    def outputs(self) -> pa.Schema | None:
        """A module does not say what it returns."""
        return None

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        """Call the module once for each batch, or for each length in it."""
        return by_length(inputs, self._binding, self._predict)

    def _predict(self, inputs: pa.RecordBatch) -> Predictions:
        import torch

        try:
            return self._answer(inputs)
        except RuntimeError as error:
            # A module that takes gradients on its way cannot do so in inference mode; in MLflow's mode it can.
            if self._mode is torch.no_grad or not any(word in text_of(error) for word in ("grad", "nference")):
                raise
            self._mode = torch.no_grad
            return self._answer(inputs)

    def _answer(self, inputs: pa.RecordBatch) -> Predictions:

        assert self._module is not None
        given = [self._tensor(array) for array in self._arrays(inputs)]
        with self._mode():
            if not self._one_by_one:
                return _predictions(self._module(*given), inputs.num_rows)
            results = [
                _predictions(self._module(*(each[row : row + 1] for each in given)), 1)
                for row in range(inputs.num_rows)
            ]
        return {name: np.concatenate([np.asarray(each[name]) for each in results]) for name in results[0]}

    def _tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        import torch

        found = torch.from_numpy(array).to(self._device)
        return found.to(getattr(torch, self._dtype)) if self._dtype and found.is_floating_point() else found

    def _arrays(self, inputs: pa.RecordBatch) -> list[npt.NDArray[Any]]:
        if self._binding.tensors:
            # A module may write into its input, and these are Spark's columns.
            return [own(tensor(inputs, spec)) for spec in self._binding.tensors]
        if self._odd:
            from spark_infer.models.backends.frame import to_frame

            return [to_frame(inputs).to_numpy(dtype=np.float32)]
        # Column by column, as a frame lies in memory: torch multiplies in another order otherwise.
        with np.errstate(over="ignore"):
            return [matrix(inputs.columns, inputs.schema.names, np.float32, order="F")]

    def close(self) -> None:
        """Let go of the module, and of its memory on the device."""
        import torch

        self._module = None
        if self._device != "cpu":
            torch.cuda.empty_cache()


def _predictions(result: Any, rows: int) -> Predictions:
    import torch

    if isinstance(result, torch.Tensor):
        return {None: _array(result, rows)}
    if isinstance(result, Mapping):
        return {str(name): _array(each, rows) for name, each in result.items()}
    if isinstance(result, tuple | list):
        return {str(index): _array(each, rows) for index, each in enumerate(result)}
    raise _no_tensor(result)


def _array(value: Any, rows: int) -> npt.NDArray[Any]:
    import torch

    if not isinstance(value, torch.Tensor):
        raise _no_tensor(value)
    value = value.detach().cpu()
    array: npt.NDArray[Any] = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    # A module that squeezes its output returns no dimension at all for a single row.
    return array.reshape(1) if array.ndim == 0 and rows == 1 else array


def _no_tensor(value: Any) -> PredictionShapeError:
    return PredictionShapeError(
        f"The model returned {type(value).__name__} where a tensor was expected.",
        next_step="let forward return a tensor with a row for each row, or a dict or tuple of such tensors.",
    )
