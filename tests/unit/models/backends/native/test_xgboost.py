"""XGBoost models natively, beyond what the conformance suite compares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.xgboost
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from mlflow.models import infer_signature

from spark_infer.core.convert import project
from spark_infer.errors import InputValueError, ModelRefusedError
from spark_infer.models.backends import load
from tests.unit.models.backends.native.specs import arrow, spec_of

pytestmark = pytest.mark.filterwarnings("ignore")

X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
y = (X.a > 0).to_numpy().astype("int64")


def save(folder: Path, model: Any, inputs: Any, **how: Any) -> Path:
    mlflow.xgboost.save_model(model, folder, pip_requirements=["xgboost"], signature=inputs, **how)
    return folder


def booster(frame: pd.DataFrame = X, **settings: Any) -> Any:
    return xgboost.train(settings, xgboost.DMatrix(frame, y, enable_categorical=True), 3)


def test_labels_and_probabilities_come_as_named_columns(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=3).fit(X, y)
    folder = save(tmp_path / "model", model, infer_signature(X, y))
    spec = spec_of(folder, arrow(X).schema, predict_method=("predict", "predict_proba"))
    loaded = load(spec, folder)
    assert loaded.outputs() == pa.schema(
        [("prediction", pa.int64()), ("probability_0", pa.float64()), ("probability_1", pa.float64())]
    )
    predictions = loaded.predict(project(arrow(X), spec.binding))
    np.testing.assert_array_equal(predictions["prediction"], model.predict(X))
    np.testing.assert_array_equal(predictions["probability_1"], model.predict_proba(X)[:, 1])


def test_a_booster_has_predict_alone(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X))
    with pytest.raises(ModelRefusedError, match="no method 'predict_proba'"):
        load(spec_of(folder, arrow(X).schema, predict_method=("predict_proba",)), folder)


@pytest.mark.parametrize(
    ("settings", "returned"),
    [
        ({"objective": "binary:logistic"}, pa.float32()),
        ({"objective": "multi:softprob", "num_class": 2}, pa.list_(pa.float32())),
    ],
)
def test_without_a_signature_the_model_is_asked_what_it_returns(
    settings: dict[str, Any], returned: pa.DataType, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", booster(**settings), None)
    loaded = load(spec_of(folder, arrow(X).schema, inputs=("a", "b")), folder)
    assert loaded.outputs() == pa.schema([("prediction", returned)])


def test_columns_in_another_order_than_the_training_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X[["b", "a"]]))
    with pytest.raises(ModelRefusedError, match="in another order") as refused:
        load(spec_of(folder, arrow(X).schema), folder)
    assert refused.value.details == ("trained on: ['a', 'b']", "fed: ['b', 'a']")


def test_text_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X.assign(b="word")))
    with pytest.raises(ModelRefusedError, match="numbers and booleans") as refused:
        spec_of(folder, arrow(X).schema)
    assert refused.value.details == ("column 'b' is string",)


@pytest.mark.parametrize(("values", "refused"), [([0, 1, 2], False), ([10, 20, 30], True), (["x", "y", "z"], True)])
def test_pandas_categories_are_refused_unless_they_are_codes(values: list[Any], refused: bool, tmp_path: Path) -> None:
    frame = X.assign(b=pd.Categorical([values[i % 3] for i in range(60)], categories=values))
    folder = save(tmp_path / "model", booster(frame), infer_signature(X.assign(b=np.arange(60))))
    spec = spec_of(folder, pa.schema([("a", pa.float64()), ("b", pa.int64())]))
    if not refused:
        load(spec, folder)
        return
    with pytest.raises(ModelRefusedError, match="pandas categories") as error:
        load(spec, folder)
    assert error.value.details == ("column(s) ['b']",)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_a_booster_takes_no_infinite_value_as_its_pyfunc_does_not(value: float, tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X))
    frame = X.assign(b=value)
    with pytest.raises(xgboost.core.XGBoostError, match="inf"):
        mlflow.pyfunc.load_model(str(folder)).predict(frame)
    spec = spec_of(folder, arrow(X).schema)
    with pytest.raises(InputValueError, match="infinite") as error:
        load(spec, folder).predict(project(arrow(frame), spec.binding))
    assert "[1]" in error.value.details[0]


def test_a_null_boolean_is_no_number(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(X.assign(b=True)), infer_signature(X.assign(b=True)))
    batch = pa.RecordBatch.from_pydict({"a": [1.0, 2.0], "b": [True, None]})
    with pytest.raises(InputValueError, match=r"'b' is boolean .* holds 1 null"):
        load(spec_of(folder, batch.schema), folder).predict(batch)


def test_a_booster_on_named_columns_is_no_model_of_a_bare_matrix(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X.to_numpy()))
    with pytest.raises(ModelRefusedError, match="a matrix without names"):
        load(spec_of(folder, arrow(X).schema, inputs=("a", "b")), folder)


@pytest.mark.parametrize("of_sklearn", [False, True])
def test_it_runs_on_the_threads_of_the_task(of_sklearn: bool, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=5).fit(X, y) if of_sklearn else booster(nthread=5)
    folder = save(tmp_path / "model", model, infer_signature(X))
    loaded: Any = load(spec_of(folder, arrow(X).schema, threads=2, predict_method=("predict",)), folder)
    inner = loaded.framework_model.get_booster() if of_sklearn else loaded.framework_model
    assert '"nthread":"2"' in inner.save_config()


def test_a_worker_imports_no_mlflow_and_makes_no_frames(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X, np.float32(y)))
    spec = spec_of(folder, arrow(X).schema)
    program = f"""
import sys, pickle, pathlib
import pyarrow as pa
sys.path.insert(0, {str(Path.cwd())!r})
spec = pickle.loads({__import__("pickle").dumps(spec)!r})
from spark_infer.models.backends import load
model = load(spec, pathlib.Path({str(folder)!r}))
assert len(model.predict(pa.RecordBatch.from_pydict({{"a": [1.0, 2.0], "b": [1.0, None]}}))[None]) == 2
print([name for name in ("mlflow", "pyspark", "spark_infer.models.backends.frame") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
