"""Models that name no columns: what is known of them before a call, and what they are given by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema, TensorSpec
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression

from spark_infer.config import ScoreOptions
from spark_infer.core.arguments import ModelColumns, read_arguments
from spark_infer.core.contract import bind
from spark_infer.core.outputs import to_batch
from spark_infer.core.scoring_steps import Model
from spark_infer.errors import PlanError
from spark_infer.models.backends import load
from spark_infer.models.expected_schema import expected_schema, stand_in_inputs
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve

pytestmark = pytest.mark.filterwarnings("ignore")

NUMBERS = np.arange(40.0).reshape(20, 2)
LABELS = np.where(NUMBERS[:, 0] > 20, "big", "small")
DOUBLE = pa.schema([("prediction", pa.float64())])


class Names(PythonModel):
    """Answers the names of the columns that it is given, with their types."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[str]:
        if isinstance(model_input, np.ndarray):
            return [str(model_input.shape[1:])] * len(model_input)
        return [",".join(f"{name!r}" for name in model_input.columns)] * len(model_input)


def saved(signature: ModelSignature | None) -> Callable[[Path], None]:
    return lambda folder: mlflow.pyfunc.save_model(
        folder, python_model=Names(), signature=signature, pip_requirements=["pandas"]
    )


def unnamed(*kinds: str) -> ModelSignature:
    return ModelSignature(Schema([ColSpec(kind) for kind in kinds]), Schema([ColSpec("string")]))


def tensor(*shape: int) -> ModelSignature:
    return ModelSignature(Schema([TensorSpec(np.dtype(np.float64), shape)]), Schema([ColSpec("string")]))


def sklearn_model(folder: Path) -> None:
    mlflow.sklearn.save_model(
        LogisticRegression().fit(NUMBERS, LABELS), folder, serialization_format="pickle", pip_requirements=["pandas"]
    )


def sklearn_of_frame(folder: Path) -> None:
    model = LinearRegression().fit(pd.DataFrame(NUMBERS, columns=["a", "b"]), NUMBERS[:, 0])
    mlflow.sklearn.save_model(model, folder, serialization_format="pickle", pip_requirements=["pandas"])


def lightgbm_model(folder: Path) -> None:
    model = lightgbm.LGBMRegressor(n_estimators=2, n_jobs=1, verbose=-1).fit(NUMBERS, NUMBERS[:, 0])
    mlflow.lightgbm.save_model(model, folder, pip_requirements=["pandas"])


def xgboost_model(folder: Path) -> None:
    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(NUMBERS, NUMBERS[:, 0])
    mlflow.xgboost.save_model(model, folder, pip_requirements=["pandas"])


def onnx_model(folder: Path) -> None:
    graph = to_onnx(LinearRegression().fit(NUMBERS, NUMBERS[:, 0]), NUMBERS[:1])
    mlflow.onnx.save_model(graph, folder, pip_requirements=["pandas"])


def before_a_call(tmp_path: Path, save: Callable[[Path], None], **more: Any) -> tuple[Recipe, Path]:
    save(tmp_path / "model")
    store = ModelStore(tmp_path / "store")
    ref = resolve(tmp_path / "model", store=store)
    folder = store.path(ref.digest)
    inputs = stand_in_inputs(ref.mlmodel.signature)
    options = ScoreOptions().model_copy(update={"inputs": inputs})
    schema = expected_schema(ref.mlmodel.signature, inputs)
    return make_recipe(
        ref, schema, options, folder=folder, keep=(), load_model=lambda spec: load(spec, folder), **more
    ), folder


def answer(recipe: Recipe, folder: Path, arguments: list[pa.Array], *, loose: bool) -> list[Any]:
    model = ModelColumns(label="m", signature=recipe.ref.mlmodel.signature)
    given = read_arguments([each.type for each in arguments], model, loose=loose)
    binding = bind(given.schema, given.signature, inputs=given.inputs)
    columns = arguments if given.within is None else arguments[0].flatten()
    loaded: Model = load(replace(recipe.load, binding=binding), folder)
    batch = pa.RecordBatch.from_arrays(columns, schema=given.schema)
    answers: list[Any] = to_batch(loaded.predict(batch), recipe.raw_outputs, batch.num_rows)[0].to_pylist()
    return answers


@pytest.mark.parametrize(
    ("save", "output"),
    [
        (sklearn_model, pa.string()),
        (sklearn_of_frame, pa.float64()),
        (lightgbm_model, pa.float64()),
        (xgboost_model, pa.float32()),
        (onnx_model, pa.float64()),
    ],
)
def test_a_framework_knows_what_its_model_returns_before_a_call(
    tmp_path: Path, save: Callable[[Path], None], output: pa.DataType
) -> None:
    recipe, _ = before_a_call(tmp_path, save, undeclared=DOUBLE)
    assert recipe.raw_outputs.types == [output]


def test_a_model_of_which_nothing_is_known_returns_what_the_door_says_or_is_refused(tmp_path: Path) -> None:
    recipe, _ = before_a_call(tmp_path / "double", saved(None), undeclared=DOUBLE)
    assert recipe.raw_outputs == DOUBLE
    with pytest.raises(PlanError, match="result_type"):
        before_a_call(tmp_path / "refused", saved(None))
    text = pa.schema([("prediction", pa.string())])
    recipe, _ = before_a_call(tmp_path / "text", saved(None), result_schema=text, undeclared=DOUBLE)
    assert recipe.raw_outputs == text


@pytest.mark.parametrize(
    ("signature", "loose", "expected"),
    [
        (unnamed("double"), ("x",), "0"),
        (unnamed("double", "double"), ("b", "a"), "0,1"),
        (None, ("b", "a"), "'0','1'"),
        (tensor(-1, 2), ("x", "y"), "(2,)"),
    ],
)
def test_loose_columns_have_the_names_that_mlflow_gives(
    tmp_path: Path, signature: ModelSignature | None, loose: tuple[str, ...], expected: str
) -> None:
    text = pa.schema([("prediction", pa.string())])
    recipe, folder = before_a_call(tmp_path, saved(signature), result_schema=text)
    arrays = [pa.array([1.0, 2.0]) for _ in loose]
    row = pa.StructArray.from_arrays(arrays, names=list(loose))
    assert answer(recipe, folder, [row], loose=True) == [expected] * 2
    if len(loose) > 1 or signature is not None:
        assert answer(recipe, folder, arrays, loose=False) == [expected] * 2
    if signature is None or not signature.inputs.is_tensor_spec():
        named = ",".join(map(repr, loose))
        assert answer(recipe, folder, [row], loose=False) == [named] * 2


def test_an_array_column_becomes_a_tensor_without_a_name(tmp_path: Path) -> None:
    recipe, folder = before_a_call(tmp_path, saved(tensor(-1, 4, 3)))
    rows = pa.array([[1.0] * 12] * 2)
    assert answer(recipe, folder, [rows], loose=False) == ["(4, 3)"] * 2


def test_columns_chosen_by_inputs_are_numbered_for_a_signature_that_names_none(tmp_path: Path) -> None:
    recipe, folder = before_a_call(tmp_path, saved(unnamed("string", "long")))
    schema = pa.schema([("n", pa.int64()), ("t", pa.string())])
    binding = bind(schema, recipe.ref.mlmodel.signature, inputs=["t", "n"])
    batch = pa.RecordBatch.from_arrays([pa.array(["a"]), pa.array([1])], names=["t", "n"])
    assert load(replace(recipe.load, binding=binding), folder).predict(batch) == {None: ["0,1"]}


def test_a_model_is_loaded_again_for_columns_that_are_named_and_not_numbered(tmp_path: Path) -> None:
    recipe, _ = before_a_call(tmp_path, saved(unnamed("double")))
    keys = set()
    for loose in (True, False):
        given = read_arguments(
            [pa.struct([("0", pa.float64())])],
            ModelColumns(label="m", signature=recipe.ref.mlmodel.signature),
            loose=loose,
        )
        binding = bind(given.schema, given.signature, inputs=given.inputs)
        keys.add(replace(recipe.load, binding=binding).key("digest"))
    assert len(keys) == 2
