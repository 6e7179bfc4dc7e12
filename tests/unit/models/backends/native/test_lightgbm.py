"""LightGBM models natively, beyond what the conformance suite compares."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import mlflow.lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature

from spark_infer.core.convert import project
from spark_infer.errors import ModelLoadError, ModelRefusedError
from spark_infer.models.backends import load
from tests.unit.models.backends.native.specs import arrow, spec_of

pytestmark = pytest.mark.filterwarnings("ignore")

QUIET: dict[str, Any] = {"verbosity": -1, "min_data_in_leaf": 5}
X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
y = (X.a > 0).to_numpy().astype("int64")
words = np.where(y, "yes", "no").astype(object)


def save(folder: Path, model: Any, inputs: Any, saved_as: str = "pickle") -> Path:
    how = {"pip_requirements": ["lightgbm"], "serialization_format": saved_as}
    mlflow.lightgbm.save_model(model, folder, signature=inputs, **how)
    return folder


def booster(frame: pd.DataFrame = X, **settings: Any) -> Any:
    return lightgbm.train({**QUIET, **settings}, lightgbm.Dataset(frame, y), 3)


def test_labels_and_probabilities_come_as_named_columns(tmp_path: Path) -> None:
    model: Any = lightgbm.LGBMClassifier(n_estimators=3, **QUIET).fit(X, words)
    folder = save(tmp_path / "model", model, infer_signature(X, words))
    spec = spec_of(folder, arrow(X).schema, predict_method=("predict", "predict_proba"))
    loaded = load(spec, folder)
    assert loaded.outputs() == pa.schema(
        [("prediction", pa.string()), ("probability_no", pa.float64()), ("probability_yes", pa.float64())]
    )
    predictions = loaded.predict(project(arrow(X), spec.binding))
    assert list(predictions["prediction"]) == model.predict(X).tolist()
    np.testing.assert_array_equal(predictions["probability_yes"], model.predict_proba(X)[:, 1])


@pytest.mark.parametrize(
    ("settings", "returned"),
    [({}, pa.float64()), ({"objective": "multiclass", "num_class": 2}, pa.list_(pa.float64()))],
)
def test_without_a_signature_the_model_is_asked_what_it_returns(
    settings: dict[str, Any], returned: pa.DataType, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", booster(**settings), None)
    loaded = load(spec_of(folder, arrow(X).schema, inputs=("a", "b")), folder)
    assert loaded.outputs() == pa.schema([("prediction", returned)])


def test_another_number_of_columns_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X[["a"]]))
    with pytest.raises(ModelRefusedError, match="trained on 2 columns and would be fed 1"):
        load(spec_of(folder, arrow(X).schema), folder)


def test_text_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X.assign(b="word")))
    with pytest.raises(ModelRefusedError, match="numbers and booleans"):
        spec_of(folder, arrow(X).schema)


@pytest.mark.parametrize("of_sklearn", [False, True])
def test_pandas_categories_are_refused(of_sklearn: bool, tmp_path: Path) -> None:
    frame = X.assign(b=pd.Categorical([i % 3 for i in range(60)]))
    model = lightgbm.LGBMClassifier(n_estimators=3, **QUIET).fit(frame, y) if of_sklearn else booster(frame)
    plain = X.assign(b=np.arange(60) % 3)
    folder = save(tmp_path / "model", model, infer_signature(plain))
    with pytest.raises(ValueError, match="categorical_feature do not match"):
        mlflow.pyfunc.load_model(str(folder)).predict(plain)
    with pytest.raises(ModelRefusedError, match="pandas categories"):
        load(spec_of(folder, arrow(plain).schema, predict_method=("predict",)), folder)


@pytest.mark.parametrize("own", [{"n_jobs": 5}, {"num_threads": 5}])
def test_an_estimator_runs_on_the_threads_of_the_task(own: dict[str, Any], tmp_path: Path) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=3, **QUIET, **own).fit(X, y)
    folder = save(tmp_path / "model", model, infer_signature(X, y))
    loaded: Any = load(spec_of(folder, arrow(X).schema, threads=2), folder)
    assert {loaded.estimator.get_params()[name] for name in own} == {2}


def test_unpickling_can_be_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=3, **QUIET).fit(X, y)
    folder = save(tmp_path / "model", model, infer_signature(X, y))
    spec = spec_of(folder, arrow(X).schema)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with pytest.raises(ModelLoadError, match="forbids"):
        load(spec, folder)


def test_a_worker_needs_no_pandas(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", booster(), infer_signature(X, y.astype(float)))
    program = f"""
import sys, pickle, pathlib
class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Absent)
import pyarrow as pa
sys.path.insert(0, {str(Path.cwd())!r})
spec = pickle.loads({pickle.dumps(spec_of(folder, arrow(X).schema))!r})
from spark_infer.models.backends import load
model = load(spec, pathlib.Path({str(folder)!r}))
print(len(model.predict(pa.RecordBatch.from_pydict({{"a": [1.0, 2.0], "b": [1.0, None]}}))[None]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2", done.stderr
