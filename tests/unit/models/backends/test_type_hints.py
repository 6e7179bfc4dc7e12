"""Models whose type hints are their signature: the list of rows that pyfunc's users give them, with None for null."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel

from spark_infer.config import ScoreOptions
from spark_infer.core.contract import bind
from spark_infer.core.convert import project
from spark_infer.core.outputs import to_batch
from spark_infer.errors import InputValueError, PlanError, SchemaMismatchError
from spark_infer.models.backends import load
from spark_infer.models.backends.choose_backend import choose
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import read_mlmodel
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.rehearsal import rehearse

pytestmark = pytest.mark.filterwarnings("ignore")


class Inner(pydantic.BaseModel):
    """A row in a row."""

    k: int | None = None
    tags: list[str] | None = None
    rate: float | None = 0.5


class Row(pydantic.BaseModel):
    """Every kind of optional value."""

    n: int
    age: int | None = None
    yes: bool | None = None
    weight: float | None = None
    city: str | None = None
    raw: bytes | None = None
    at: datetime.datetime | None = None
    inner: Inner | None = None
    many: list[Inner] | None = None
    ages: list[int | None] | None = None
    marks: dict[str, int | None] | None = None
    by_name: dict[str, Inner] | None = None
    either: int | str | None = None
    anything: Any = None


INNER = pa.struct([("k", pa.int64()), ("tags", pa.list_(pa.string())), ("rate", pa.float64())])
TABLE = pa.schema(
    [
        ("n", pa.int32()),
        ("age", pa.int64()),
        ("yes", pa.bool_()),
        ("weight", pa.float64()),
        ("city", pa.string()),
        ("raw", pa.binary()),
        ("at", pa.timestamp("us")),
        ("inner", INNER),
        ("many", pa.list_(INNER)),
        ("ages", pa.list_(pa.int32())),
        ("marks", pa.map_(pa.string(), pa.int64())),
        ("by_name", pa.map_(pa.string(), INNER)),
        ("either", pa.string()),
        ("anything", pa.list_(pa.int64())),
    ]
)
NO_INNER = {"k": None, "tags": None, "rate": None}
FULL = {
    "n": 1,
    "age": 5,
    "yes": False,
    "weight": 1.5,
    "city": "x",
    "raw": b"\x00",
    "at": datetime.datetime(2024, 1, 2, 3),
    "inner": {"k": 1, "tags": ["a"], "rate": 2.0},
    "many": [{"k": None, "tags": None, "rate": None}, {"k": 2, "tags": [], "rate": 1.0}],
    "ages": [1, None],
    "marks": {"a": 1, "b": None},
    "by_name": {"z": NO_INNER},
    "either": "word",
    "anything": [1, None],
}
ROWS: list[dict[str, Any]] = [
    FULL,
    {name: 2 if name == "n" else None for name in FULL},
    {**FULL, "inner": NO_INNER, "many": [], "ages": [], "marks": {}, "weight": float("nan")},
]


def answering(hint: Any) -> PythonModel:
    """A model that answers with what it was given."""

    def predict(self: Any, model_input: Any) -> Any:
        return [repr(row) for row in model_input]

    predict.__annotations__ = {"model_input": list[hint], "return": list[str]}
    return type("Echo", (PythonModel,), {"predict": predict})()  # type: ignore[no-any-return]  # made like any class


def saved(model: PythonModel, folder: Path, **how: Any) -> Any:
    mlflow.pyfunc.save_model(folder, python_model=model, pip_requirements=["pandas"], **how)
    return mlflow.pyfunc.load_model(str(folder))


def scored(folder: Path, table: pa.RecordBatch, inputs: tuple[str, ...] | None = None) -> list[Any]:
    mlmodel = read_mlmodel(folder)
    spec = LoadSpec(
        backend=choose(mlmodel, ScoreOptions(), folder).backend,
        mlmodel=mlmodel,
        methods=("predict",),
        by_signature=True,
        binding=bind(table.schema, mlmodel.signature, inputs=inputs),
        params={},
        threads=1,
    )
    model = load(spec, folder)
    return [
        value for row in range(len(table)) for value in model.predict(project(table.slice(row, 1), spec.binding))[None]
    ]


@pytest.fixture(scope="module")
def rows_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("rows") / "m"
    return folder, saved(answering(Row), folder)


def test_a_null_is_none_in_optional_fields_of_every_type_and_depth(rows_model: tuple[Path, Any]) -> None:
    folder, pyfunc = rows_model
    table = pa.RecordBatch.from_pylist(ROWS, TABLE)
    expected = pyfunc.predict(ROWS)
    assert "age=None" in expected[1]
    assert scored(folder, table) == expected


def test_columns_and_fields_that_the_table_lacks_have_the_models_own_defaults(rows_model: tuple[Path, Any]) -> None:
    folder, pyfunc = rows_model
    rows = [{"n": 1, "anything": None, "inner": {"k": 1}, "many": [{"tags": ["a"]}]}, {"n": 2, "anything": None}]
    inner = pa.struct([("k", pa.int64())]), pa.list_(pa.struct([("tags", pa.list_(pa.string()))]))
    schema = pa.schema([("n", pa.int64()), ("anything", pa.null()), ("inner", inner[0]), ("many", inner[1])])
    expected = pyfunc.predict(rows)
    assert "rate=0.5" in expected[0]
    assert scored(folder, pa.RecordBatch.from_pylist(rows, schema)) == expected


def test_a_null_in_a_field_that_is_not_optional_is_an_error_that_names_it(rows_model: tuple[Path, Any]) -> None:
    folder, pyfunc = rows_model
    with pytest.raises(mlflow.MlflowException, match="valid integer"):
        pyfunc.predict([{**FULL, "n": None}])
    with pytest.raises(InputValueError, match=r"'n' is long in the model's type hint, which is not Optional.* 1 null"):
        scored(folder, pa.RecordBatch.from_pylist([{**FULL, "n": None}], TABLE))


VALUES: list[tuple[Any, pa.DataType, list[Any]]] = [
    (str, pa.string(), ["a", ""]),
    (int, pa.int32(), [1, 2]),
    (float, pa.float32(), [1.5, float("nan")]),
    (bool, pa.bool_(), [True, False]),
    (bytes, pa.binary(), [b"a"]),
    (datetime.datetime, pa.timestamp("us"), [datetime.datetime(2024, 1, 2)]),
    (dict[str, float], pa.map_(pa.string(), pa.float64()), [{"a": 1.5}, {}]),
    (dict[str, int | None], pa.map_(pa.string(), pa.int64()), [{"a": None}]),
    (dict[str, list[int]], pa.map_(pa.string(), pa.list_(pa.int64())), [{"a": [1]}]),
    (dict[str, Any], pa.map_(pa.string(), pa.float64()), [{"a": 1.5, "b": None}]),
    (list[float], pa.list_(pa.float64()), [[1.0], []]),
    (list[int | None], pa.list_(pa.int64()), [[1, None]]),
    (list[Any], pa.list_(pa.int64()), [[1, None], []]),
    (list[int | str], pa.list_(pa.string()), [["a", None]]),
    (list[list[float]], pa.list_(pa.list_(pa.float64())), [[[1.0], []]]),
    (list[Inner], pa.list_(INNER), [[NO_INNER], []]),
    (Any, pa.int64(), [1, None]),
    (Any, pa.struct([("a", pa.int64())]), [{"a": None}, None]),
    (int | str, pa.string(), ["a", None]),
]


@pytest.mark.parametrize(("hint", "column", "values"), VALUES, ids=[str(hint) for hint, *_ in VALUES])
def test_a_hint_without_names_takes_the_values_of_one_column(
    tmp_path: Path, hint: Any, column: pa.DataType, values: list[Any]
) -> None:
    expected = saved(answering(hint), tmp_path / "m").predict(values)
    table = pa.RecordBatch.from_arrays([pa.array(values, column)], names=["v"])
    assert scored(tmp_path / "m", table, ("v",)) == expected


def test_a_null_text_is_an_error_as_in_pyfunc(tmp_path: Path) -> None:
    pyfunc = saved(answering(str), tmp_path / "m")
    with pytest.raises(mlflow.MlflowException):
        pyfunc.predict(["a", None])
    with pytest.raises(InputValueError, match=r"'v' is string.* not Optional"):
        scored(tmp_path / "m", pa.RecordBatch.from_pydict({"v": ["a", None]}), ("v",))


class Frame(PythonModel):
    """Answers with what its frame holds."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[str]:
        return [repr(row) for row in model_input.to_dict("records")]


def test_what_a_signature_calls_any_has_the_type_of_the_table(tmp_path: Path) -> None:
    example = pd.DataFrame([{"x": 1.0, "note": None, "meta": {"lang": "en", "score": None}, "seen": []}])
    pyfunc = saved(Frame(), tmp_path / "m", signature=infer_signature(example, ["a"]))
    rows = [
        {"x": 1.0, "note": "a", "meta": {"lang": "en", "score": 0.5}, "seen": ["x"]},
        {"x": 2.0, "note": None, "meta": {"lang": "de", "score": None}, "seen": []},
    ]
    table = pa.RecordBatch.from_pylist(rows)
    said = pyfunc.predict(table.to_pandas())  # as a pandas UDF has it: an array is numpy's
    expected = [each.replace("'note': nan", "'note': None") for each in said]  # pandas 3 has nan; models here get None
    assert "array(['x']" in expected[0]
    assert scored(tmp_path / "m", table) == expected
    # Whatever no model takes is refused before any task.
    odd = table.set_column(1, "note", pa.array([1, 2], pa.duration("us")))
    with pytest.raises(SchemaMismatchError, match=r"'note' is interval day to second, which no model takes"):
        scored(tmp_path / "m", odd)


def test_a_null_in_an_integer_column_without_hints_is_refused_as_in_pyfunc(tmp_path: Path) -> None:
    example = pd.DataFrame({"n": pd.array([1, None], "Int64")})
    pyfunc = saved(Frame(), tmp_path / "m", signature=infer_signature(example, ["a"]))
    with pytest.raises(mlflow.MlflowException, match="cannot convert NA to integer"):
        pyfunc.predict(example)
    with pytest.raises(InputValueError, match=r"'n' is long in the model's signature and holds 1 null"):
        scored(tmp_path / "m", pa.RecordBatch.from_pydict({"n": pa.array([None, 1], pa.int64())}))


def recipe_of(folder: Path, table: pa.Schema, store: ModelStore, **how: Any) -> tuple[Recipe, Path]:
    ref = resolve(str(folder), tracking_uri=None, registry_uri=None, store=store)
    files = store.path(ref.digest)
    options = ScoreOptions(inputs=how.pop("inputs", None))
    recipe = make_recipe(ref, table, options, folder=files, load_model=lambda spec: load(spec, files), keep=(), **how)
    return recipe, files


def test_an_output_that_is_any_needs_a_result_type(tmp_path: Path) -> None:
    outputs = pd.DataFrame({"label": ["a"], "reason": [None]})
    saved(Frame(), tmp_path / "m", signature=infer_signature(pd.DataFrame({"x": [1.0]}), outputs))
    table, store = pa.schema([("x", pa.float64())]), ModelStore(tmp_path / "store")
    with pytest.raises(PlanError, match=r"leaves open what \['reason'\] holds") as refusal:
        recipe_of(tmp_path / "m", table, store)
    assert "result_type" in refusal.value.next_step
    said = pa.schema([("label", pa.string()), ("reason", pa.string())])
    assert recipe_of(tmp_path / "m", table, store, result_schema=said)[0].raw_outputs == said


def _frame(rows: list[Inner]) -> Any:
    return pd.DataFrame({"label": ["a"] * len(rows), "score": [row.rate for row in rows]})


def _dicts(rows: list[Inner]) -> Any:
    return _frame(rows).to_dict("records")


@pytest.mark.parametrize(
    ("answer", "hint"),
    [(_frame, None), (_frame, pd.DataFrame), (_dicts, None), (_dicts, list[dict[str, Any]])],
    ids=["frame, no hint", "frame", "dicts, no hint", "dicts"],
)
def test_several_outputs_of_a_model_with_type_hints_are_named_by_the_result_type(
    tmp_path: Path, answer: Any, hint: Any
) -> None:
    def predict(self: Any, model_input: Any) -> Any:
        return answer(model_input)

    predict.__annotations__ = {"model_input": list[Inner]} | ({} if hint is None else {"return": hint})
    saved(type("Several", (PythonModel,), {"predict": predict})(), tmp_path / "m")
    table, store = pa.schema([("rate", pa.float64())]), ModelStore(tmp_path / "store")
    result = pa.schema([("label", pa.string()), ("score", pa.float64())])
    recipe, files = recipe_of(tmp_path / "m", table, store, result_schema=result)
    rows = project(pa.RecordBatch.from_pydict({"rate": [1.5, 2.5]}), recipe.load.binding)
    found = to_batch(load(recipe.load, files).predict(rows), recipe.raw_outputs, 2)
    assert found.to_pylist() == [{"label": "a", "score": 1.5}, {"label": "a", "score": 2.5}]


class Careful(PythonModel):
    """Knows only whole words."""

    def predict(self, model_input: list[str]) -> list[int]:  # type: ignore[override]  # as MLflow asks
        return [{"tree": 1, "house": 2}[word] for word in model_input]


def test_the_example_of_a_list_of_texts_is_rehearsed_word_by_word(tmp_path: Path) -> None:
    saved(Careful(), tmp_path / "m", input_example=["tree", "house"])
    recipe, files = recipe_of(
        tmp_path / "m", pa.schema([("w", pa.string())]), ModelStore(tmp_path / "s"), inputs=("w",)
    )
    assert rehearse(recipe, load(recipe.load, files), files).warning is None


def test_records_are_the_models_own(tmp_path: Path) -> None:
    class Emptied(PythonModel):
        def predict(self, model_input: list[dict[str, Any]]) -> list[str]:  # type: ignore[override]  # as MLflow asks
            for row in model_input:
                row.clear()
            return [repr(row) for row in model_input]

    saved(Emptied(), tmp_path / "m")
    table = pa.record_batch({"v": pa.array([{"a": 1}], pa.map_(pa.string(), pa.int64()))})
    assert scored(tmp_path / "m", table, ("v",)) == ["{}"]
    assert table.to_pylist() == [{"v": [("a", 1)]}]
    assert np.asarray(scored(tmp_path / "m", table, ("v",))).tolist() == ["{}"]
