from __future__ import annotations

import importlib
import pickle
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from torch import nn

from spark_infer.config import ScoreOptions
from spark_infer.core.convert import project
from spark_infer.core.outputs import Predictions
from spark_infer.errors import DeviceError, ModelLoadError, ModelRefusedError, PredictionShapeError
from spark_infer.models.backends import load
from spark_infer.models.backends.choose_backend import Choice, choose
from spark_infer.models.mlmodel import read_mlmodel
from tests.unit.models.backends.native.specs import spec_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

ONE_TENSOR = ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 2))]))
TWO_COLUMNS = ModelSignature(Schema([ColSpec("double", "a"), ColSpec("double", "b")]))
ROWS = pa.record_batch({"x": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32()))})
NET = """
import torch
class Net(torch.nn.Module):
    def forward(self, x):
        return 10 * x
"""


class Negated(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.neg_()


class Gradient(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            return torch.autograd.grad((x**2).sum(), x)[0]


class Named(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": x.sum(1), "half": (x / 2).to(torch.bfloat16)}


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x[:, 0], x[:, 1]


class Squeezed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(1, keepdim=True).squeeze()


class Talking(nn.Module):
    def forward(self, x: torch.Tensor) -> str:
        return "done"


class Difference(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left - right


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def save(folder: Path, module: nn.Module, signature: ModelSignature | None = ONE_TENSOR, **how: Any) -> Path:
    how = {"serialization_format": "pickle", **how}
    mlflow.pytorch.save_model(module, folder / "model", signature=signature, pip_requirements=["torch"], **how)
    return folder / "model"


def choice_for(folder: Path) -> Choice:
    return choose(read_mlmodel(folder), ScoreOptions(), folder)


def predict(folder: Path, batch: pa.RecordBatch = ROWS, **options: Any) -> Predictions:
    spec = spec_of(folder, batch.schema, **(options or {"inputs": batch.schema.names}))
    return load(spec, folder).predict(project(batch, spec.binding))


def test_a_module_that_writes_into_its_input_leaves_the_tables_column_alone(tmp_path: Path) -> None:
    before = ROWS.to_pydict()
    (answer,) = predict(save(tmp_path, Negated())).values()
    assert np.asarray(answer).tolist() == [[-1, -2], [-3, -4], [-5, -6]]
    assert ROWS.to_pydict() == before


@pytest.mark.parametrize("mapped", [True, False])
def test_weights_stay_in_their_file_where_its_format_lets_them(mapped: bool, tmp_path: Path) -> None:
    module = nn.Linear(2, 1)
    folder = save(tmp_path, module, _use_new_zipfile_serialization=mapped)
    spec = spec_of(folder, ROWS.schema, inputs=["x"])
    loaded = load(spec, folder)
    (answer,) = loaded.predict(project(ROWS, spec.binding)).values()
    assert np.asarray(answer).tolist() == module(torch.tensor([[1.0, 2], [3, 4], [5, 6]])).tolist()
    assert ("/model.pth" in mapping_of(loaded._module.weight.data_ptr())) is mapped  # type: ignore[attr-defined]


def mapping_of(address: int) -> str:
    """What is mapped at an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(each, 16) for each in line.split()[0].split("-"))
        if start <= address < end:
            return line
    raise AssertionError(address)


def test_a_module_that_takes_gradients_answers_as_in_its_pyfunc(tmp_path: Path) -> None:
    folder = save(tmp_path, Gradient())
    (answer,) = predict(folder).values()
    assert np.asarray(answer).tolist() == [[2, 4], [6, 8], [10, 12]]
    given = np.array(ROWS["x"].to_pylist(), np.float32)
    assert mlflow.pyfunc.load_model(str(folder)).predict(given).tolist() == [[2, 4], [6, 8], [10, 12]]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (Named(), {"sum": [3, 7, 11], "half": [[0.5, 1], [1.5, 2], [2.5, 3]]}),
        (Pair(), {"0": [1, 3, 5], "1": [2, 4, 6]}),
    ],
)
def test_several_outputs_go_by_their_names_or_places(module: nn.Module, expected: Any, tmp_path: Path) -> None:
    answer = predict(save(tmp_path, module))
    assert {name: np.asarray(values).tolist() for name, values in answer.items()} == expected


class Ranged(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.sum(dim=1), torch.full((len(x),), float(len(x)))], dim=1)


def test_rows_of_any_length_are_predicted_with_those_of_their_length(tmp_path: Path) -> None:
    folder = save(tmp_path, Ranged(), ModelSignature(Schema([TensorSpec(np.dtype(np.float32), (-1, -1))])))
    values = [[1.0, 2, 3], [4], [5, 6, 7], [8], [9]]
    batch = pa.RecordBatch.from_pydict({"x": pa.array(values, pa.list_(pa.float32()))})
    (answer,) = predict(folder, batch).values()
    assert np.asarray(answer).tolist() == [[6, 2], [4, 3], [18, 2], [8, 3], [9, 3]]  # the sum, and of how many rows


def test_an_output_that_is_no_tensor_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(PredictionShapeError, match="returned str where a tensor was expected"):
        predict(save(tmp_path, Talking()))


def test_a_module_that_squeezes_its_output_answers_for_a_single_row_too(tmp_path: Path) -> None:
    folder = save(tmp_path, Squeezed())
    assert [np.asarray(predict(folder, ROWS.slice(0, rows))[None]).tolist() for rows in (1, 2)] == [[3], [3, 7]]


def test_an_exported_program_of_two_tensors_gets_them_in_the_order_of_its_signature(tmp_path: Path) -> None:
    specs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype("float32"), (-1, 2), name) for name in ("z", "a")]
    examples = [np.ones((2, 2), np.float32), np.ones((2, 2), np.float32)]
    folder = save(
        tmp_path, Difference(), ModelSignature(Schema(specs)), serialization_format="pt2", input_example=examples
    )
    kind = pa.list_(pa.float32())
    batch = pa.record_batch({"a": pa.array([[1, 1]] * 3, kind), "z": pa.array([[5, 7]] * 3, kind)})
    assert choice_for(folder).backend == "pytorch"
    spec = spec_of(folder, batch.schema)
    (answer,) = load(spec, folder).predict(project(batch, spec.binding)).values()
    assert np.asarray(answer).tolist() == [[4, 6]] * 3


def test_a_program_exported_for_one_row_is_called_row_by_row(tmp_path: Path) -> None:
    example = np.ones((1, 2), np.float32)
    folder = save(tmp_path, nn.Flatten(), ONE_TENSOR, serialization_format="pt2", input_example=example)
    (answer,) = predict(folder).values()
    assert np.asarray(answer).tolist() == [[1, 2], [3, 4], [5, 6]]
    spec = spec_of(folder, ROWS.schema, inputs=["x"])
    assert "an input_example of two or more rows" in load(spec, folder).how


def test_named_tensors_of_a_pickled_module_are_refused(tmp_path: Path) -> None:
    signature = ModelSignature(Schema([TensorSpec(np.dtype("float32"), (-1, 2), "x")]))
    with pytest.raises(ModelRefusedError, match="names its tensors"):
        choice_for(save(tmp_path, nn.Flatten(), signature))


def test_a_class_is_found_among_the_models_code_and_missed_by_name_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_up_net.py").write_text(NET)
    with monkeypatch.context() as here:
        here.syspath_prepend(tmp_path)
        net = importlib.import_module("made_up_net").Net()
        folder = save(tmp_path, net, pickle_module=pickle, code_paths=[str(tmp_path / "made_up_net.py")])
    sys.modules.pop("made_up_net")
    spec = spec_of(folder, ROWS.schema, inputs=["x"])
    assert spec.backend == "pytorch"
    (answer,) = predict(folder).values()
    assert np.asarray(answer).tolist() == [[10, 20], [30, 40], [50, 60]]
    # As a model logged without code_paths is.
    shutil.rmtree(folder / "code")
    sys.modules.pop("made_up_net")
    with pytest.raises(ModelRefusedError, match="needs 'Net' from module 'made_up_net'") as caught:
        choice_for(folder)
    assert "code_paths=['made_up_net.py'" in caught.value.next_step
    with pytest.raises(ModelLoadError, match="needs code that this Python cannot import"):
        load(spec, folder)


def test_inference_parameters_go_through_pyfunc(tmp_path: Path) -> None:
    signature = ModelSignature(ONE_TENSOR.inputs, params=ParamSchema([ParamSpec("k", "long", 1)]))
    choice = choice_for(save(tmp_path, nn.Flatten(), signature))
    assert (choice.backend, choice.reason) == ("pyfunc", "its forward takes inference parameters")


def test_unpickling_that_is_switched_off_stays_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(tmp_path, nn.Flatten())
    spec = spec_of(folder, ROWS.schema, inputs=["x"])
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    assert choice_for(folder).backend == "pyfunc"
    with pytest.raises(ModelLoadError, match="MLFLOW_ALLOW_PICKLE_DESERIALIZATION forbids that"):
        load(spec, folder)


def test_columns_that_are_no_numbers_go_through_a_frame_as_in_the_pyfunc(tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": ["1.5", "2"], "b": [3.0, 4.0]})
    folder = save(tmp_path, nn.Flatten(), infer_signature(rows, pd.DataFrame(np.zeros((2, 2), np.float32))))
    batch = pa.RecordBatch.from_pandas(rows)
    (answer,) = predict(folder, batch, inputs=None).values()
    assert np.asarray(answer).tolist() == mlflow.pyfunc.load_model(str(folder)).predict(rows).to_numpy().tolist()
    assert np.asarray(answer).tolist() == [[1.5, 3], [2, 4]]


@pytest.mark.usefixtures("one_thread")
def test_torch_takes_the_threads_of_the_task(tmp_path: Path) -> None:
    folder = save(tmp_path, nn.Flatten(), TWO_COLUMNS)
    load(spec_of(folder, pa.schema({"a": pa.float64(), "b": pa.float64()}), threads=3), folder)
    assert torch.get_num_threads() == 3


def test_a_gpu_that_torch_does_not_see_is_an_error_that_says_so(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = save(tmp_path, nn.Flatten())
    spec = spec_of(folder, ROWS.schema, inputs=["x"], device="cuda:0")
    with pytest.raises(DeviceError, match="torch does not see the GPU"):
        load(spec, folder)


def test_a_forecasting_model_goes_through_pyfunc(tmp_path: Path) -> None:
    """By the module of its class alone; the package itself need not be here."""
    folder = save(tmp_path, nn.Flatten())
    pickled = pickle.dumps(nn.Flatten(), protocol=0).replace(b"torch.nn.modules.flatten", b"pytorch_forecasting.models")
    rewrite(folder / "data/model.pth", pickled)
    choice = choice_for(folder)
    assert (choice.backend, choice.reason) == ("pyfunc", "a forecasting model takes a frame")


def rewrite(path: Path, pickled: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickled)
