"""A model may change what it is given: it gets the answers of its pyfunc, and nothing else sees the change."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pytorch
import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import PythonModel
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spark_infer.core.binding import Binding, BoundColumn, TensorInput
from spark_infer.core.contract import bind
from spark_infer.core.convert import project
from spark_infer.models.backends import load
from spark_infer.models.backends.frame import to_frame, to_model_input
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.mlmodel import read_mlmodel

pytestmark = pytest.mark.filterwarnings("ignore")

Change = Callable[[Any], Any]

VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "bool": (pa.bool_(), [True, False]),
    "int": (pa.int32(), [1, 2]),
    "long": (pa.int64(), [1, 2]),
    "float": (pa.float32(), [1.5, 2.5]),
    "double": (pa.float64(), [1.5, 2.5]),
    "decimal": (pa.decimal128(5, 2), [Decimal("1.5"), Decimal("2.5")]),
    "text": (pa.string(), ["a", "b"]),
    "bytes": (pa.binary(), [b"a", b"b"]),
    "time": (pa.timestamp("us"), [0, 1]),
    "nanoseconds": (pa.timestamp("ns"), [0, 1]),
    "date": (pa.date32(), [0, 1]),
    "list": (pa.list_(pa.float64()), [[1.0], [2.0]]),
    "struct": (pa.struct([("a", pa.int64())]), [{"a": 1}, {"a": 2}]),
    "map": (pa.map_(pa.string(), pa.int64()), [[("a", 1)], [("b", 2)]]),
}


def snapshot(batch: pa.RecordBatch) -> bytes:
    return bytes(batch.serialize())


def overwritten(values: np.ndarray) -> None:
    """Every value of an array replaced by its last one, and what lies inside it changed."""
    for value in values if values.dtype == object else ():
        if isinstance(value, list):
            value.append(0.0)
        elif isinstance(value, dict):
            value.clear()
    values[:] = values[-1:]


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("others", [(), ("double",), tuple(VALUES)], ids=["alone", "beside a double", "beside all"])
def test_a_frame_of_any_type_is_writable_and_shares_no_memory_with_its_batch(
    kind: str, others: tuple[str, ...]
) -> None:
    for nulls in ([], [None]) if not pa.types.is_integer(VALUES[kind][0]) else ([],):
        columns = {kind: pa.array(VALUES[kind][1] * 2 + nulls, VALUES[kind][0])}
        columns |= {
            f"{name}2": pa.array((VALUES[name][1] * 3)[: len(columns[kind])], VALUES[name][0]) for name in others
        }
        batch = pa.RecordBatch.from_pydict(columns).slice(1)
        before = snapshot(batch)
        frame = to_frame(batch)
        overwritten(frame[kind].values)
        frame.iloc[0] = frame.iloc[-1]
        for name in frame.columns:
            overwritten(frame[name].values)
        assert snapshot(batch) == before
        assert to_frame(batch)[kind].tolist() != frame[kind].tolist()


def test_writing_through_the_values_of_a_frame_changes_the_frame_as_it_does_in_pandas() -> None:
    frame = to_frame(pa.RecordBatch.from_pydict({"a": [1.0, 2.0], "b": [3.0, 4.0]}))
    frame.values[0] = 0.0
    assert frame.to_dict("list") == {"a": [0.0, 2.0], "b": [0.0, 4.0]}


TENSORS = {
    "a list": (pa.record_batch({"t": pa.array([[1.0, 2.0], [3.0, 4.0]])}), (-1, 2), "float64"),
    "a list with a null": (pa.record_batch({"t": pa.array([[1.0, None], [3.0, 4.0]])}), (-1, 2), "float64"),
    "a list that is cast": (pa.record_batch({"t": pa.array([[1, 2], [3, 4]], pa.list_(pa.int64()))}), (-1, 2), "int32"),
    "lists of lists": (pa.record_batch({"t": pa.array([[[1.0], [2.0]], [[3.0], [4.0]]])}), (-1, 2, 1), "float64"),
    "a list of texts": (pa.record_batch({"t": pa.array([["a", "b"], ["c", "d"]])}), (-1, 2), "str"),
    "numbers": (pa.record_batch({"t": pa.array([1.0, 2.0])}), (-1,), "float64"),
    "a column of numbers": (pa.record_batch({"t": pa.array([1.0, 2.0])}), (-1, 1), "float64"),
}


@pytest.mark.parametrize("name", [None, "t"])
@pytest.mark.parametrize("kind", TENSORS)
def test_a_tensor_is_writable_and_shares_no_memory_with_its_batch(kind: str, name: str | None) -> None:
    batch, shape, dtype = TENSORS[kind]
    before = snapshot(batch)
    binding = Binding(
        columns=(BoundColumn(source="t", target="t", type=batch.schema.field("t").type),),
        tensors=(TensorInput(name=name, columns=("t",), dtype=dtype, shape=shape),),
    )
    given = to_model_input(batch, binding)
    array = given if name is None else given["t"]
    array[0] = array[1]
    assert array[0].tolist() == array[1].tolist()
    assert snapshot(batch) == before


class InPlace(PythonModel):
    """Changes its input, or its parameters, and answers with what is left."""

    def __init__(self, change: Change) -> None:
        self.change = change

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        (params or {"seen": []})["seen"].append(1.0)
        return self.change(model_input) + len((params or {"seen": [1.0]})["seen"])


def scaled(frame: pd.DataFrame) -> Any:
    frame["x"] *= 10
    return frame["x"]


def clipped_by_label(frame: pd.DataFrame) -> Any:
    frame.loc[frame["x"] < 0, "x"] = 0.0
    return frame["x"]


def clipped_by_values(frame: pd.DataFrame) -> Any:
    frame["x"].values[frame["x"].values < 0] = 0.0
    return frame["x"]


def clipped_as_matrix(frame: pd.DataFrame) -> Any:
    frame.values[:] = np.maximum(frame.values, 0.0)
    return frame["x"]


def filled(frame: pd.DataFrame) -> Any:
    frame.fillna(0.0, inplace=True)
    frame["y"] = frame["x"] + 1
    return frame["y"]


def sorted_in_place(frame: pd.DataFrame) -> Any:
    frame["x"].values.sort()
    return frame["x"].to_numpy()


def spec_of(
    folder: Path, schema: pa.Schema, backend: str, inputs: tuple[str, ...] | None = None, **params: Any
) -> LoadSpec:
    mlmodel = read_mlmodel(folder)
    return LoadSpec(
        backend=backend,
        mlmodel=mlmodel,
        methods=("predict",),
        by_signature=True,
        binding=bind(schema, mlmodel.signature, inputs=inputs),
        params=params,
        threads=1,
    )


@pytest.mark.parametrize(
    "change", [scaled, clipped_by_label, clipped_by_values, clipped_as_matrix, filled, sorted_in_place]
)
@pytest.mark.parametrize("signed", [True, False], ids=["signature", "no signature"])
def test_a_pyfunc_that_changes_its_frame_answers_as_in_mlflow(tmp_path: Path, change: Change, signed: bool) -> None:
    rows = pd.DataFrame({"x": [1.0, -2.0, 3.0], "z": [0.0, 1.0, 2.0]})
    signature = ModelSignature(infer_signature(rows).inputs) if signed else None
    mlflow.pyfunc.save_model(
        tmp_path / "m", python_model=InPlace(change), signature=signature, pip_requirements=["pandas"]
    )
    expected = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    model = None
    for x in ([1.0, -2.0, 3.0], [1.0, None, 3.0]):
        batch = pa.RecordBatch.from_pydict({"x": x, "z": rows["z"]})
        before = snapshot(batch)
        spec = spec_of(tmp_path / "m", batch.schema, "pyfunc", None if signed else ("x", "z"))
        model = model or load(spec, tmp_path / "m")
        wanted = expected.predict(pd.DataFrame({"x": np.array(x, float), "z": rows["z"]})).tolist()
        for _ in range(2):  # a batch that is predicted again has the values that it had
            np.testing.assert_array_equal(model.predict(project(batch, spec.binding))[None], wanted)
        assert snapshot(batch) == before


def test_parameters_that_a_model_changes_are_those_asked_for_in_the_next_batch(tmp_path: Path) -> None:
    rows = pd.DataFrame({"x": [1.0, 2.0]})
    signature = infer_signature(rows, params={"seen": [0.0]})
    mlflow.pyfunc.save_model(
        tmp_path / "m", python_model=InPlace(scaled), signature=signature, pip_requirements=["pandas"]
    )
    batch = pa.RecordBatch.from_pydict({"x": [1.0, 2.0]})
    params: list[tuple[dict[str, Any], int]] = [({"seen": [0.0, 0.0]}, 3), ({}, 2)]
    for given, seen in params:
        model = load(spec_of(tmp_path / "m", batch.schema, "pyfunc", **given), tmp_path / "m")
        for _ in range(3):
            assert list(model.predict(batch)[None]) == [10.0 + seen, 20.0 + seen]


class Order(PythonModel):
    """Answers the order of its parameters."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return [repr(params)] * len(model_input)


@pytest.mark.parametrize(
    "defaults", [{"z": 1, "a": [0.5], "m": "x"}, {"z": 1, "b": 2}, {"z": 1.0, "a": {"k": 1}, "b": [2]}]
)
def test_a_model_gets_its_defaults_in_the_order_of_its_signature(tmp_path: Path, defaults: dict[str, Any]) -> None:
    rows = pd.DataFrame({"x": [1.0]})
    signature = infer_signature(rows, ["text"], params=defaults)
    mlflow.pyfunc.save_model(tmp_path / "m", python_model=Order(), signature=signature, pip_requirements=["pandas"])
    batch = pa.RecordBatch.from_pydict({"x": [1.0]})
    model = load(spec_of(tmp_path / "m", batch.schema, "pyfunc"), tmp_path / "m")
    expected = mlflow.pyfunc.load_model(str(tmp_path / "m")).predict(rows)
    assert list(model.predict(batch)[None]) == expected == [repr(defaults)]


class Recentring(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator of the user's that works on what it is given."""

    def fit(self, X: Any, y: Any) -> Recentring:
        self.fitted_ = True
        return self

    def predict(self, X: Any) -> Any:
        X -= 1.0
        return np.asarray(X).sum(axis=1)


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(copy=False), Ridge(copy_X=False)),
        make_pipeline(StandardScaler(copy=False)),
        Recentring(),
    ],
    ids=["pipeline", "transformer", "class of the user's"],
)
@pytest.mark.parametrize("backend", ["sklearn", "pyfunc"])
def test_an_estimator_that_works_in_place_on_a_tensor_leaves_the_column(
    tmp_path: Path, estimator: Any, backend: str
) -> None:
    rows = np.arange(12.0).reshape(6, 2)
    estimator.fit(rows.copy(), rows[:, 0])
    if not hasattr(estimator, "predict"):
        estimator = make_pipeline(*(step for _, step in estimator.steps), LinearRegression()).fit(
            rows.copy(), rows[:, 0]
        )
    signature = infer_signature(rows, rows[:, 0])
    mlflow.sklearn.save_model(
        estimator,
        tmp_path / "m",
        signature=signature,
        pip_requirements=["scikit-learn"],
        serialization_format="cloudpickle",
    )
    wanted = mlflow.pyfunc.load_model(str(tmp_path / "m")).predict(rows.copy())
    batch = pa.record_batch({"v": pa.array(rows.tolist())})
    before = snapshot(batch)
    model = load(spec_of(tmp_path / "m", batch.schema, backend, ("v",)), tmp_path / "m")
    for _ in range(2):
        np.testing.assert_allclose(model.predict(batch)[None], wanted, rtol=1e-12)
    assert snapshot(batch) == before


class Relu(torch.nn.Module):
    """A module that works in place."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values.relu_()
        return values.sum(1, keepdim=True)


@pytest.mark.parametrize("backend", ["pytorch", "pyfunc"])
def test_a_module_that_works_in_place_leaves_the_column(tmp_path: Path, backend: str) -> None:
    rows = np.array([[1.0, -2.0], [3.0, 5.0]], np.float32)
    signature = infer_signature(rows, np.ones((1, 1), np.float32))
    mlflow.pytorch.save_model(
        Relu(), tmp_path / "m", signature=signature, pip_requirements=["torch"], serialization_format="pickle"
    )
    batch = pa.record_batch({"v": pa.array(rows.tolist(), pa.list_(pa.float32()))})
    before = snapshot(batch)
    model = load(spec_of(tmp_path / "m", batch.schema, backend, ("v",)), tmp_path / "m")
    for _ in range(2):
        assert np.ravel(model.predict(batch)[None]).tolist() == [1.0, 8.0]
    assert snapshot(batch) == before
