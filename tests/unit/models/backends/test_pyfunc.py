from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema
from scipy.sparse import csr_matrix

from spark_infer.core.contract import bind
from spark_infer.core.convert import project
from spark_infer.core.outputs import to_batch
from spark_infer.core.prediction_columns import signature_outputs
from spark_infer.errors import InputValueError, ModelLoadError, PredictionShapeError
from spark_infer.models.backends import load
from spark_infer.models.backends.frame import to_frame, to_predictions
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.mlmodel import read_mlmodel

pytestmark = pytest.mark.filterwarnings("ignore")

FRAME = pd.DataFrame({"a": [1.0, np.nan, 3.0], "n": [2**53 + 1, 2, 3], "s": ["x", None, "z"]})


class Describe(PythonModel):
    """Says what it was given, so that a test can see it."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        suffix = (params or {}).get("suffix", "")
        return pd.DataFrame(
            {
                "n": model_input["n"] + 1,
                "text": [f"{value}{suffix}" for value in model_input["s"]],
                "missing": model_input["a"].isna(),
            }
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "describe"
    outputs = Schema([ColSpec("long", "n"), ColSpec("string", "text"), ColSpec("boolean", "missing")])
    signature = infer_signature(FRAME, params={"suffix": "!"})
    mlflow.pyfunc.save_model(
        folder,
        python_model=Describe(),
        signature=ModelSignature(signature.inputs, outputs, signature.params),
        pip_requirements=["pandas"],
    )
    return folder


def spec(folder: Path, **params: Any) -> LoadSpec:
    mlmodel = read_mlmodel(folder)
    schema = pa.schema([("s", pa.string()), ("n", pa.int64()), ("a", pa.float64())])
    return LoadSpec(
        backend="pyfunc",
        mlmodel=mlmodel,
        methods=("predict",),
        by_signature=True,
        binding=bind(schema, mlmodel.signature),
        params=params,
        threads=1,
    )


def predict(folder: Path, **params: Any) -> dict[str, list[Any]]:
    given = spec(folder, **params)
    schema = signature_outputs(given.mlmodel.signature)
    assert schema is not None
    batch = pa.RecordBatch.from_pandas(FRAME[["s", "n", "a"]], preserve_index=False)
    predictions = load(given, folder).predict(project(batch, given.binding))
    columns: dict[str, list[Any]] = to_batch(predictions, schema, 3).to_pydict()
    return columns


def test_all_outputs_come_back_and_long_values_are_exact(folder: Path) -> None:
    assert predict(folder) == {
        "n": [2**53 + 2, 3, 4],
        "text": ["x!", "None!", "z!"],
        "missing": [False, True, False],
    }


def test_parameters_reach_the_model(folder: Path) -> None:
    assert predict(folder, suffix="?")["text"][0] == "x?"


def test_a_model_that_does_not_load_is_a_clear_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text((folder / "MLmodel").read_text())
    with pytest.raises(ModelLoadError, match="does not load with backend 'pyfunc'"):
        load(spec(folder), tmp_path)


def test_a_frame_has_the_dtype_of_the_declared_type_whatever_the_batch_holds() -> None:
    for rows in ([1.5, None], [1.5], [None]):
        assert to_frame(pa.RecordBatch.from_pydict({"a": pa.array(rows, pa.float64())})).dtypes["a"] == np.float64
    for texts in (["x", None], ["x"], [None]):
        frame = to_frame(pa.RecordBatch.from_pydict({"s": pa.array(texts, pa.string())}))
        assert frame["s"].dtype == np.dtype(object)
        assert frame["s"].tolist() == texts
    moments = to_frame(pa.RecordBatch.from_pydict({"t": pa.array([0, None], pa.timestamp("us"))}))
    assert str(moments.dtypes["t"]) == "datetime64[ns]"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (pd.DataFrame({"a": [1, 2]}), {"a": [1, 2]}),
        (pd.Series([1, 2]), {None: [1, 2]}),
        (pd.Series([1, None], dtype="Int64"), {None: [1, None]}),
        (pd.Series(["x", None]), {None: ["x", None]}),
        (np.array([1, 2]), {None: [1, 2]}),
        ([1, 2], {None: [1, 2]}),
        ((1, 2), {None: [1, 2]}),
        ({"a": np.array([1, 2])}, {"a": [1, 2]}),
        ([{"a": 1}, {"a": 2}], {None: [{"a": 1}, {"a": 2}]}),
        (csr_matrix([[1, 0], [0, 2]]), {None: [[1, 0], [0, 2]]}),
        (iter([1, 2]), {None: [1, 2]}),
        (iter([pd.Series([1]), pd.Series([2])]), {None: [1, 2]}),
    ],
)
def test_whatever_a_model_returns_is_read(result: Any, expected: dict[str | None, list[Any]]) -> None:
    read = to_predictions(result)
    assert {
        name: getattr(v, "to_pylist", getattr(v, "tolist", lambda v=v: v))() for name, v in read.items()
    } == expected


@pytest.mark.parametrize("texts", [["a", None], [None, None]])
def test_categories_are_read_also_where_a_batch_has_none(texts: list[str | None]) -> None:
    read = to_predictions(pd.DataFrame({"label": pd.Series(texts, dtype=object).astype("category")}))
    assert to_batch(read, pa.schema({"label": pa.string()}), 2).to_pydict() == {"label": texts}


@pytest.mark.parametrize(
    "result",
    [
        [0.5, pd.NA],
        (0.5, pd.NA),
        np.array([0.5, pd.NA], dtype=object),
        pd.Series([0.5, pd.NA], dtype=object),
        pd.Series([0.5, pd.NA], dtype="Float64"),
        {"score": [0.5, pd.NA]},
        [{"score": 0.5}, {"score": pd.NA}],
        np.array([[0.5], [pd.NA]], dtype=object),
    ],
    ids=repr,
)
def test_the_missing_value_of_pandas_is_null_whatever_holds_it(result: Any) -> None:
    read = to_batch(to_predictions(result), pa.schema({"score": pa.float64()}), 2)
    assert read.to_pydict() == {"score": [0.5, None]}


BIG = 2**53 + 1
TWO = pa.schema({"label": pa.float64(), "score": pa.float64()})


@pytest.mark.parametrize(
    ("result", "wanted", "expected"),
    [
        (pd.array([BIG, None], "Int64"), pa.int64(), [BIG, None]),
        (pa.chunked_array([[BIG], [None]]), pa.int64(), [BIG, None]),
        ({"p": pa.chunked_array([[BIG], [None]])}, pa.int64(), [BIG, None]),
        (pa.table({"p": [BIG, None]}), pa.int64(), [BIG, None]),
        (iter([pd.DataFrame({"p": [1]}), pd.DataFrame({"p": [0.5]})]), pa.string(), ["1", "0.5"]),
        (iter([pd.Series([BIG]), pd.Series([1.0])]), pa.string(), [str(BIG), "1.0"]),
        (pd.Series(pd.PeriodIndex(["2024-01", "2024-02"], freq="M")), pa.string(), ["2024-01", "2024-02"]),
        (pd.Series(pd.interval_range(0, 2)), pa.string(), ["(0, 1]", "(1, 2]"]),
        (pd.Series([0.0, 1.0], dtype="Sparse[float]"), pa.float64(), [0.0, 1.0]),
        (pd.DataFrame({"p": pd.arrays.SparseArray([0, 1])}), pa.float64(), [0.0, 1.0]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_a_model_returns_keeps_its_values(result: Any, wanted: pa.DataType, expected: list[Any]) -> None:
    read = to_batch(to_predictions(result), pa.schema({"prediction": wanted}), 2)
    assert read.column(0).to_pylist() == expected


def test_the_columns_of_arrow_bind_by_name() -> None:
    table = pa.table({"score": [1.0], "label": [-1.0]})
    for result in (table, table.to_batches()[0]):
        assert to_batch(to_predictions(result), TWO, 1).to_pylist() == [{"label": -1.0, "score": 1.0}]


@pytest.mark.parametrize(
    "result",
    [
        pd.DataFrame([[1.0, 2.0]], columns=[0, "0"]),
        pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]),
        {1: [1.0], "1": [2.0]},
        pa.Table.from_arrays([pa.array([1.0])] * 2, ["a", "a"]),
    ],
    ids=lambda each: type(each).__name__,
)
def test_two_outputs_of_one_name_are_an_error(result: Any) -> None:
    with pytest.raises(PredictionShapeError, match="two outputs whose name is"):
        to_predictions(result)


def test_frames_with_different_columns_are_an_error() -> None:
    with pytest.raises(PredictionShapeError, match="one has 1, another 1, and 0 of them are in both"):
        to_predictions(iter([pd.DataFrame({"a": [1.0]}), pd.DataFrame({"A": [2.0]})]))


def test_sparse_rows_and_frames_of_one_row_are_arrays() -> None:
    doubles = pa.schema({"prediction": pa.list_(pa.list_(pa.float64()))})
    for rows in ([csr_matrix([[1.0, 0.0]])] * 2, [pd.DataFrame([[1.0, 0.0]])] * 2):
        read = to_batch(to_predictions(rows), doubles, 2)
        assert read.column(0).to_pylist() == [[[1.0, 0.0]]] * 2
        with pytest.raises(PredictionShapeError, match="not double"):
            to_batch(to_predictions(rows), pa.schema({"prediction": pa.float64()}), 2)


@pytest.mark.parametrize("result", [None, object(), {1, 2}])
def test_what_holds_no_rows_is_refused(result: Any) -> None:
    with pytest.raises(PredictionShapeError, match="holds no rows"):
        to_predictions(result)


def test_a_time_that_pandas_cannot_hold_is_an_error_and_does_not_wrap() -> None:
    with pytest.raises(InputValueError, match="'t' holds a time outside"):
        to_frame(pa.RecordBatch.from_pydict({"t": pa.array([datetime(9999, 12, 31)], pa.timestamp("us"))}))


@pytest.mark.parametrize(
    "index",
    [
        [2, 0, 1],
        [7, 3, 5],
        [0, 0, 1],
        [2.0, 1.0, 0.0],
        ["b", "c", "a"],
        pd.to_datetime(["2024-03-01", "2024-01-01", "2024-02-01"]),
        pd.MultiIndex.from_tuples([(1, 0), (0, 1), (0, 0)]),
        pd.RangeIndex(2, -1, -1),
        pd.Index([2, 0, 1], dtype="Int64"),
    ],
    ids=str,
)
def test_a_result_belongs_to_the_rows_by_position_whatever_its_index(index: Any) -> None:
    series, frame = pd.Series([30, 10, 20], index), pd.DataFrame({"a": [30, 10, 20], "b": ["x", "y", "z"]}, index)
    results = [
        (series, {None: [30, 10, 20]}),
        (series.astype("Int64"), {None: [30, 10, 20]}),
        (frame, {"a": [30, 10, 20], "b": ["x", "y", "z"]}),
        ({"a": series, "b": frame["b"]}, {"a": [30, 10, 20], "b": ["x", "y", "z"]}),
        (iter([series.iloc[:1], series.iloc[1:]]), {None: [30, 10, 20]}),
        (iter([frame.iloc[:2], frame.iloc[2:]]), {"a": [30, 10, 20], "b": ["x", "y", "z"]}),
    ]
    for result, expected in results:
        assert {name: pa.array(values).to_pylist() for name, values in to_predictions(result).items()} == expected


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_of_one_column_is_one_output() -> None:
    found = to_batch(to_predictions(np.asmatrix([[1.0], [2.0]])), pa.schema([("prediction", pa.float64())]), 2)
    assert found.column(0).to_pylist() == [1.0, 2.0]


PROGRAM = """
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
class Answer(PythonModel):
    def load_context(self, context):
        import flavour_helper
        self.helper = flavour_helper
    def predict(self, context, model_input, params=None):
        import flavour_helper, flavour_late
        assert flavour_helper is self.helper
        return model_input["a"] * flavour_helper.FACTOR + flavour_late.count()
set_model(Answer())
"""
LATE = """
calls = 0
def count():
    global calls
    calls += 1
    return calls
"""


def test_two_models_with_modules_of_one_name_each_run_their_own(tmp_path: Path) -> None:
    loaded = []
    for number in (1, 2):
        code = tmp_path / f"code{number}"
        code.mkdir()
        (code / "flavour_helper.py").write_text(f"FACTOR = {number}00.0\n")
        (code / "flavour_late.py").write_text(LATE)
        program = tmp_path / f"model{number}.py"
        program.write_text(PROGRAM)
        folder = tmp_path / f"saved{number}"
        a = pd.DataFrame({"a": [1.0]})
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(program),
            code_paths=[str(path) for path in code.iterdir()],
            signature=infer_signature(a, a["a"].rename("prediction")),
            pip_requirements=["pandas"],
        )
        mlmodel = read_mlmodel(folder)
        binding = bind(pa.schema([("a", pa.float64())]), mlmodel.signature)
        how: dict[str, Any] = {"methods": ("predict",), "by_signature": True, "params": {}, "threads": 1}
        loaded.append(load(LoadSpec(backend="pyfunc", mlmodel=mlmodel, binding=binding, **how), folder))
    batch = pa.RecordBatch.from_pydict({"a": [5.0]})
    answers = [model.predict(batch)[None][0] for model in (*loaded, *loaded, loaded[1])]
    # Each counts its own calls in a module that it imports while it predicts.
    assert answers == [501.0, 1001.0, 502.0, 1002.0, 1003.0]


def test_rows_of_dicts_have_the_keys_of_all_rows_whatever_their_order() -> None:
    full, short = {"x": 2.0, "y": 3.0}, {"x": 1.0}
    schema = pa.schema({"x": pa.float64(), "y": pa.float64()})
    for rows in ([short, full], [full, short], [None, full]):
        expected = [{"x": None, "y": None} | (row or {}) for row in rows]
        assert to_batch(to_predictions(rows), schema, 2).to_pylist() == expected
