from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema, TensorSpec

from spark_infer.config import ScoreOptions
from spark_infer.core.contract import bind
from spark_infer.errors import ModelRefusedError
from spark_infer.models.backends import load
from spark_infer.models.example import EXAMPLE, made_up, made_up_unlike, read_example
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import read_mlmodel
from spark_infer.models.recipe import make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.rehearsal import Rehearsal, rehearse

pytestmark = pytest.mark.filterwarnings("ignore")

TABLE = pa.schema({"city": pa.string(), "size": pa.float64()})
INPUTS = Schema([ColSpec("string", "city"), ColSpec("double", "size")])
DOUBLE = Schema([ColSpec("double", "price")])
EXAMPLE_ROWS = pd.DataFrame({"city": ["Oslo", "secret-city"], "size": [1.0, 2.0]})


class Priced(PythonModel):
    """Knows two cities; what it returns for them is given."""

    def __init__(
        self, answer: Callable[[pd.DataFrame], Any], cities: tuple[str, ...] = ("Oslo", "secret-city")
    ) -> None:
        self._answer = answer
        self._cities = cities

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        unknown = sorted(set(model_input["city"]) - set(self._cities))
        if unknown:
            raise KeyError(f"unknown city {unknown[0]}")
        return self._answer(model_input)


def prices(rows: pd.DataFrame) -> Any:
    return pd.DataFrame({"price": rows["size"] * 2})


def rehearsed(
    tmp_path: Path, model: Priced, outputs: Schema = DOUBLE, *, example: Any = None, **options: Any
) -> Rehearsal:
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=model,
        signature=ModelSignature(INPUTS, outputs),
        input_example=example,
        pip_requirements=["pandas"],
    )
    store = ModelStore(tmp_path / "store")
    ref = resolve(str(tmp_path / "model"), tracking_uri=None, registry_uri=None, store=store)
    folder = store.path(ref.digest)
    recipe = make_recipe(ref, TABLE, ScoreOptions(**options), folder=folder, load_model=lambda spec: load(spec, folder))
    return rehearse(recipe, load(recipe.load, folder), folder)


def test_a_model_that_keeps_its_promise_is_passed_in_silence(tmp_path: Path) -> None:
    found = rehearsed(tmp_path, Priced(prices), example=EXAMPLE_ROWS)
    assert found == Rehearsal(row_order="kept, as 2 rows in two orders showed", any_size=True)


def test_an_example_of_as_many_rows_as_a_batch_says_nothing_of_other_sizes(tmp_path: Path) -> None:
    assert not rehearsed(tmp_path, Priced(prices), example=EXAMPLE_ROWS, batch_size=len(EXAMPLE_ROWS)).any_size


def test_a_model_that_refuses_its_own_example_is_refused_without_its_values(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match="does not predict its own input example") as caught:
        rehearsed(tmp_path, Priced(prices, cities=("Oslo",)), example=EXAMPLE_ROWS)
    assert "KeyError" in str(caught.value)
    assert "secret-city" not in str(caught.value)


def test_a_model_that_refuses_made_up_rows_gets_a_warning(tmp_path: Path) -> None:
    warning = rehearsed(tmp_path, Priced(prices)).warning
    assert warning is not None
    assert warning.startswith("the model was tried with rows of zeros and empty texts and raised builtins.KeyError")
    assert warning.endswith("real rows may differ")


@pytest.mark.parametrize(
    ("answer", "outputs", "told"),
    [
        (lambda rows: {"cost": [1.0] * len(rows)}, DOUBLE, "did not return the output(s) ['price']"),
        (lambda rows: {"price": ["much"] * len(rows)}, DOUBLE, "not double"),
        (lambda rows: np.ones(len(rows) + 1), DOUBLE, "value(s) of 'price' for a batch of"),
        (lambda rows: np.ones((len(rows), 3)), DOUBLE, "not double"),
        (prices, Schema([ColSpec("double", "price"), ColSpec("string", "why")]), "the output(s) ['why']"),
    ],
)
@pytest.mark.parametrize("example", [EXAMPLE_ROWS, None], ids=["example", "made-up rows"])
def test_an_answer_in_another_form_than_promised_is_refused(
    answer: Callable[[pd.DataFrame], Any], outputs: Schema, told: str, example: Any, tmp_path: Path
) -> None:
    model = Priced(answer, cities=("", "Oslo", "secret-city"))
    with pytest.raises(ModelRefusedError, match="does not return what was promised for it") as caught:
        rehearsed(tmp_path, model, outputs, example=example)
    assert told in str(caught.value)


def by_size(rows: pd.DataFrame) -> Any:
    return prices(rows.sort_values("size", ascending=False)).reset_index(drop=True)


@pytest.mark.parametrize("example", [EXAMPLE_ROWS, None], ids=["example", "made-up rows"])
def test_a_model_that_answers_in_another_order_is_refused_unless_it_is_trusted(example: Any, tmp_path: Path) -> None:
    model = Priced(by_size, cities=("Oslo", "secret-city", "", *"abcdefg"))
    with pytest.raises(ModelRefusedError, match="answers its rows in another order: the values of price") as caught:
        rehearsed(tmp_path, model, example=example)
    assert "row_order: trust" in caught.value.next_step
    options: dict[str, Any] = {"row_order": "trust", "batch_size": 1}
    for name, value in options.items():
        (tmp_path / name).mkdir()
        found = rehearsed(tmp_path / name, model, example=example, **{name: value})
        assert found == Rehearsal(any_size=True)


def tensors(*specs: tuple[str | None, str, tuple[int, ...]]) -> Schema:
    return Schema([TensorSpec(np.dtype(dtype), shape, name) for name, dtype, shape in specs])


FLOATS = pa.list_(pa.float32())


@pytest.mark.parametrize(
    ("schema", "inputs", "example", "table", "expected"),
    [
        (INPUTS, None, {"columns": ["size", "city"], "data": [[1, "a"], [None, "b"]]}, TABLE,
         {"city": ["a", "b"], "size": [1.0, None]}),
        (INPUTS, None, [{"size": 1, "city": "a"}], TABLE, {"city": ["a"], "size": [1.0]}),
        (INPUTS, None, {"inputs": {"columns": ["city", "size"], "data": [["a", 1]]}, "params": {"k": 1}}, TABLE,
         {"city": ["a"], "size": [1.0]}),
        (tensors((None, "float32", (-1, 4))), ("x",), [[1, 2, 3, 4]] * 7, pa.schema({"x": FLOATS}),
         {"x": [[1, 2, 3, 4]] * 7}),
        (tensors((None, "float32", (-1, 2, 2))), ("x",), {"inputs": [[[1, 2], [3, 4]]]}, pa.schema({"x": FLOATS}),
         {"x": [[1, 2, 3, 4]]}),
        (tensors((None, "float32", (-1, 2, 2))), ("x",), [[[1, 2], [3, 4]]], pa.schema({"x": pa.list_(FLOATS)}),
         {"x": [[[1, 2], [3, 4]]]}),
        (tensors((None, "float32", (-1, 2))), ("a", "b"), [[1, 2], [3, 4]],
         pa.schema({"a": pa.float32(), "b": pa.float32()}), {"a": [1, 3], "b": [2, 4]}),
        (tensors(("l", "int64", (-1, 1)), ("r", "float32", (-1, 2))), None, {"l": [[1]], "r": [[2, 3]]},
         pa.schema({"l": pa.int64(), "r": FLOATS}), {"l": [1], "r": [[2, 3]]}),
        (Schema([ColSpec("datetime", "t")]), None, {"columns": ["t"], "data": [["2024-05-06T07:08:09"]]},
         pa.schema({"t": pa.timestamp("us")}), {"t": [pd.Timestamp("2024-05-06 07:08:09").to_pydatetime()]}),
        (INPUTS, None, {"columns": ["town", "size"], "data": [["a", 1]]}, TABLE, None),
        (INPUTS, None, {"columns": ["city", "size"], "data": [["a", "big"]]}, TABLE, None),
        (INPUTS, None, "a text", TABLE, None),
        (INPUTS, None, {"messages": [{"role": "user"}]}, TABLE, None),
    ],
)  # fmt: skip
def test_the_example_is_read_in_the_form_of_the_inputs_or_not_at_all(
    schema: Schema, inputs: Any, example: Any, table: pa.Schema, expected: Any, tmp_path: Path
) -> None:
    document = {"flavors": {"python_function": {}}, "saved_input_example_info": {"artifact_path": EXAMPLE}}
    (tmp_path / "MLmodel").write_text(json.dumps({**document, "signature": ModelSignature(schema).to_dict()}))
    (tmp_path / EXAMPLE).write_text(json.dumps(example))
    mlmodel = read_mlmodel(tmp_path)
    read = read_example(tmp_path, mlmodel, bind(table, mlmodel.signature, inputs=inputs))
    assert (None if read is None else read.to_pydict()) == expected


def test_made_up_rows_have_every_type_and_shape_that_a_model_may_take() -> None:
    table = pa.schema(
        {
            "long": pa.int64(),
            "float": pa.float32(),
            "truth": pa.bool_(),
            "text": pa.string(),
            "bytes": pa.binary(),
            "time": pa.timestamp("us"),
            "list": pa.list_(pa.float64()),
            "struct": pa.struct({"a": pa.int32()}),
            "map": pa.map_(pa.string(), pa.float64()),
        }
    )
    rows = made_up(bind(table, None, inputs=table.names))
    assert rows.num_rows == 7
    assert rows.schema.equals(table)
    assert all(column.null_count == 0 for column in rows.columns)
    assert [rows[name][0].as_py() for name in ("long", "text", "list")] == [0, "", [0.0]]
    unlike = made_up_unlike(bind(table, None, inputs=table.names))
    assert unlike.schema.equals(table)
    assert [len({repr(value) for value in column.to_pylist()}) for column in unlike.columns] == [7] * 2 + [2] + [
        7
    ] * 5 + [1]


@pytest.mark.parametrize(
    ("type_", "expected"), [(FLOATS, [0.0] * 6), (pa.list_(pa.list_(pa.float32())), [[0.0] * 3, [0.0] * 3])]
)
def test_made_up_tensors_have_the_shape_of_the_signature(type_: pa.DataType, expected: Any, tmp_path: Path) -> None:
    signature = ModelSignature(tensors((None, "float32", (-1, 2, 3)))).to_dict()
    (tmp_path / "MLmodel").write_text(json.dumps({"flavors": {"python_function": {}}, "signature": signature}))
    binding = bind(pa.schema({"x": type_}), read_mlmodel(tmp_path).signature, inputs=["x"])
    assert made_up(binding).to_pydict() == {"x": [expected] * 7}
