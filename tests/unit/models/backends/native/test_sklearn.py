from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature, infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from spark_infer.config import ScoreOptions
from spark_infer.core.contract import bind
from spark_infer.core.convert import project
from spark_infer.core.outputs import to_batch
from spark_infer.core.prediction_columns import signature_outputs
from spark_infer.errors import ModelLoadError, ModelRefusedError
from spark_infer.models.backends import load
from spark_infer.models.backends.native.sklearn import batch_rows
from spark_infer.models.backends.spec import LoadSpec
from spark_infer.models.mlmodel import read_mlmodel

IRIS = load_iris(as_frame=True)
CANCER = load_breast_cancer(as_frame=True)
DIABETES = load_diabetes(as_frame=True)

# What skops wants to be told about scikit-learn's own compiled types.
TRUSTED = [
    "numpy.dtype",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]


def spec_of(folder: Path, schema: pa.Schema, backend: str, **options: Any) -> LoadSpec:
    mlmodel = read_mlmodel(folder)
    given = ScoreOptions(**options)
    return LoadSpec(
        backend=backend,
        mlmodel=mlmodel,
        methods=given.predict_method or (mlmodel.predict_fn or "predict",),
        by_signature=given.predict_method is None and signature_outputs(mlmodel.signature) is not None,
        binding=bind(schema, mlmodel.signature, inputs=given.inputs),
        params={},
        threads=1,
    )


def save(folder: Path, estimator: Any, X: Any, **how: Any) -> Path:
    predicted = getattr(estimator, how.get("pyfunc_predict_fn", "predict"))(X)
    how = {"serialization_format": "skops", "pip_requirements": ["scikit-learn"], **how}
    if how["serialization_format"] == "skops":
        how["skops_trusted_types"] = TRUSTED
    mlflow.sklearn.save_model(estimator, folder, signature=infer_signature(X, predicted), **how)
    return folder


def arrow(X: Any) -> pa.RecordBatch:
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame({"features": list(X)})
    return pa.RecordBatch.from_pandas(frame, preserve_index=False)


def flights() -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(7)
    rows = 400
    frame = pd.DataFrame(
        {
            "carrier": rng.choice(["AA", "UA", "B6"], rows).astype(object),
            "distance": rng.integers(80, 5000, rows),
            "delay": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(10, 30, rows)),
        }
    )
    return frame, (frame.delay.fillna(0) > 10).to_numpy().astype("int64")


def named_pipeline() -> Pipeline:
    encode = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "delay"]),
        ]
    )
    return Pipeline([("encode", encode), ("model", LogisticRegression())])


CASES: dict[str, tuple[Any, Any, Any, bool]] = {
    # name: estimator, inputs, labels, whether batches go as one matrix
    "logistic": (make_pipeline(StandardScaler(), LogisticRegression()), CANCER.data, CANCER.target, True),
    "forest": (RandomForestClassifier(20, n_jobs=-1, random_state=0), IRIS.data, IRIS.target, True),
    "tree, text labels": (DecisionTreeClassifier(), IRIS.data, IRIS.target_names[IRIS.target], True),
    "linear": (LinearRegression(), DIABETES.data, DIABETES.target, True),
    "multi-output": (
        RandomForestRegressor(5, random_state=0),
        DIABETES.data,
        np.column_stack([DIABETES.target, -DIABETES.target]),
        True,
    ),
    "float32": (
        MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", max_iter=300, random_state=0, tol=1),
        DIABETES.data.astype("float32"),
        DIABETES.target,
        True,
    ),
    "bare array": (LogisticRegression(max_iter=500), IRIS.data.to_numpy(), IRIS.target, True),
    "integers": (
        HistGradientBoostingClassifier(max_iter=10),
        (IRIS.data * 10).round().astype("int64"),
        IRIS.target,
        True,
    ),
    "columns by name": (named_pipeline(), *flights(), False),
    "columns by position": (
        make_pipeline(ColumnTransformer([("n", StandardScaler(), [0, 2])]), LogisticRegression()),
        IRIS.data,
        IRIS.target,
        True,
    ),
    "function": (make_pipeline(FunctionTransformer(np.log1p), LinearRegression()), IRIS.data, IRIS.target, False),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_the_native_backend_gives_the_answers_of_the_pyfunc(name: str, tmp_path: Path) -> None:
    estimator, X, y, as_matrix = CASES[name]
    how = {} if name != "function" else {"serialization_format": "cloudpickle"}
    folder = save(tmp_path / "model", estimator.fit(X, y), X, **how)
    batch = arrow(X)
    inputs = ("features",) if name == "bare array" else None
    spec = spec_of(folder, batch.schema, "sklearn", inputs=inputs)
    schema = signature_outputs(spec.mlmodel.signature)
    assert schema is not None
    model = load(spec, folder)
    native = to_batch(model.predict(project(batch, spec.binding)), schema, len(X))
    reference = to_batch({None: np.asarray(mlflow.pyfunc.load_model(str(folder)).predict(X))}, schema, len(X))
    assert ("no pandas" in model.how) is as_matrix
    if pa.types.is_floating(schema.types[0]):
        # The matrix has the layout of the frame, so the same instructions run: equal to the last bit.
        np.testing.assert_array_equal(native.column(0).to_numpy(), reference.column(0).to_numpy())
    else:
        assert native.equals(reference)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["skops", "cloudpickle", "pickle"])
def test_every_format_that_mlflow_writes_is_read(how: str, tmp_path: Path) -> None:
    estimator = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    folder = save(tmp_path / "model", estimator, IRIS.data, serialization_format=how)
    spec = spec_of(folder, arrow(IRIS.data).schema, "sklearn")
    predictions = load(spec, folder).predict(project(arrow(IRIS.data), spec.binding))
    np.testing.assert_array_equal(predictions[None], estimator.predict(IRIS.data))


@pytest.mark.filterwarnings("ignore")
def test_a_long_beside_doubles_is_not_rounded(tmp_path: Path) -> None:
    ids = np.array([2**53, 2**53 + 1, 2**53 + 2, 2**53 + 3] * 5)
    X = pd.DataFrame({"id": ids, "v": np.zeros(20)})
    estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), DecisionTreeRegressor())
    estimator.fit(X, [0.0, 10.0, 20.0, 30.0] * 5)
    folder = save(tmp_path / "model", estimator, X)
    spec = spec_of(folder, arrow(X).schema, "sklearn")
    model = load(spec, folder)
    assert "'id' is long beside other types" in model.how
    assert list(model.predict(project(arrow(X), spec.binding))[None])[:4] == [0.0, 10.0, 20.0, 30.0]


@pytest.mark.filterwarnings("ignore")
def test_labels_probabilities_and_decisions_come_as_named_columns(tmp_path: Path) -> None:
    estimator = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    folder = save(tmp_path / "model", estimator, IRIS.data)
    methods = ("predict", "predict_proba", "decision_function")
    spec = spec_of(folder, arrow(IRIS.data).schema, "sklearn", predict_method=methods)
    model = load(spec, folder)
    schema = model.outputs()
    assert schema is not None
    assert schema.names == [
        "prediction",
        *(f"probability_{label}" for label in range(3)),
        *(f"decision_{label}" for label in range(3)),
    ]
    batch = to_batch(model.predict(project(arrow(IRIS.data), spec.binding)), schema, 150)
    np.testing.assert_array_equal(batch.column("probability_2"), estimator.predict_proba(IRIS.data)[:, 2])
    np.testing.assert_array_equal(batch.column("decision_0"), estimator.decision_function(IRIS.data)[:, 0])


@pytest.mark.filterwarnings("ignore")
def test_two_classes_have_one_decision(tmp_path: Path) -> None:
    estimator = LinearSVC().fit(CANCER.data, CANCER.target)
    folder = save(tmp_path / "model", estimator, CANCER.data)
    spec = spec_of(folder, arrow(CANCER.data).schema, "sklearn", predict_method=("decision_function",))
    model = load(spec, folder)
    assert model.outputs() == pa.schema([("decision", pa.float64())])
    predictions = model.predict(project(arrow(CANCER.data), spec.binding))
    np.testing.assert_allclose(predictions["decision"], estimator.decision_function(CANCER.data), rtol=1e-9)
    with pytest.raises(ModelRefusedError, match="no method 'predict_proba'"):
        load(spec_of(folder, arrow(CANCER.data).schema, "sklearn", predict_method=("predict_proba",)), folder)


@pytest.mark.filterwarnings("ignore")
def test_a_step_alone_predicts_nothing_and_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    mlflow.sklearn.save_model(
        StandardScaler().fit(IRIS.data), folder, signature=infer_signature(IRIS.data), pip_requirements=["scikit-learn"]
    )
    with pytest.raises(ModelRefusedError, match="StandardScaler has no method 'predict'"):
        load(spec_of(folder, arrow(IRIS.data).schema, "sklearn"), folder)


@pytest.mark.filterwarnings("ignore")
def test_the_method_the_model_was_logged_with_is_the_default(tmp_path: Path) -> None:
    estimator = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    folder = save(tmp_path / "model", estimator, IRIS.data, pyfunc_predict_fn="predict_proba")
    spec = spec_of(folder, arrow(IRIS.data).schema, "sklearn")
    schema = signature_outputs(spec.mlmodel.signature)
    assert schema == pa.schema([("prediction", pa.list_(pa.float64()))])
    batch = to_batch(load(spec, folder).predict(project(arrow(IRIS.data), spec.binding)), schema, 150)
    assert batch.column(0).to_pylist() == estimator.predict_proba(IRIS.data).tolist()


@pytest.mark.filterwarnings("ignore")
def test_joblib_gets_the_threads_of_the_task(tmp_path: Path) -> None:
    estimator = RandomForestClassifier(5, n_jobs=-1).fit(IRIS.data, IRIS.target)
    folder = save(tmp_path / "model", make_pipeline(StandardScaler(), estimator).fit(IRIS.data, IRIS.target), IRIS.data)
    spec = spec_of(folder, arrow(IRIS.data).schema, "sklearn")
    model: Any = load(spec, folder)
    assert model.framework_model[-1].n_jobs == 1


@pytest.mark.filterwarnings("ignore")
def test_unpickling_can_be_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(tmp_path / "model", LinearRegression().fit(IRIS.data, IRIS.target), IRIS.data)
    spec = spec_of(folder, arrow(IRIS.data).schema, "sklearn")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with pytest.raises(ModelLoadError, match="forbids"):
        load(spec, folder)


@pytest.mark.filterwarnings("ignore")
def test_a_worker_with_the_native_backend_imports_no_mlflow_and_needs_no_pandas(tmp_path: Path) -> None:
    folder = save(
        tmp_path / "model", LinearRegression().fit(IRIS.data, IRIS.target), IRIS.data, serialization_format="pickle"
    )
    program = f"""
import sys, pickle, pathlib
class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Absent)
import pyarrow as pa
sys.path.insert(0, {str(Path.cwd())!r})
spec = pickle.loads({__import__("pickle").dumps(spec_of(folder, arrow(IRIS.data).schema, "sklearn"))!r})
from spark_infer.models.backends import load
from spark_infer.core.convert import project
model = load(spec, pathlib.Path({str(folder)!r}))
batch = pa.RecordBatch.from_pydict({{c.target: [1.0, 2.0] for c in spec.binding.columns}})
assert len(model.predict(project(batch, spec.binding))[None]) == 2
print([name for name in ("mlflow", "pyspark") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_each_method_gets_rows_that_no_other_has_written_into(tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": [5.0, 3.0, 8.0, 2.0], "b": [-7.0, -9.0, -4.0, -8.0]})
    model = make_pipeline(StandardScaler(copy=False), LogisticRegression()).fit(rows.copy(), [0, 1, 0, 1])
    expected = model.predict_proba(rows.copy())
    mlflow.sklearn.save_model(
        model,
        tmp_path / "model",
        signature=ModelSignature(infer_signature(rows).inputs),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    methods = ("predict", "predict_proba")
    loaded = load(
        spec_of(tmp_path / "model", arrow(rows).schema, "sklearn", predict_method=methods), tmp_path / "model"
    )
    found = loaded.predict(arrow(rows))
    assert np.array_equal(np.column_stack([found["probability_0"], found["probability_1"]]), expected)


def test_scores_of_pairs_are_not_given_the_names_of_classes(tmp_path: Path) -> None:
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    model = SVC(decision_function_shape="ovo").fit(rows, np.repeat(["p", "q", "r"], 20))
    mlflow.sklearn.save_model(
        model,
        tmp_path / "model",
        signature=ModelSignature(infer_signature(rows).inputs),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    spec = spec_of(tmp_path / "model", arrow(rows).schema, "sklearn", predict_method=("decision_function",))
    with pytest.raises(ModelRefusedError, match="each pair of classes"):
        load(spec, tmp_path / "model").outputs()


class Centred(StandardScaler):  # type: ignore[misc]  # scikit-learn has no types
    """Looks at all rows of a batch."""

    def transform(self, rows: Any, copy: bool | None = None) -> Any:
        return rows - np.mean(rows, axis=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "by_row"),
    [
        (make_pipeline(StandardScaler(), RandomForestClassifier(5)), True),
        (make_pipeline(FunctionTransformer(), LinearRegression()), True),
        (make_pipeline(FunctionTransformer(np.log1p), LinearRegression()), False),
        (make_pipeline(Centred(), LinearRegression()), False),
    ],
)
def test_it_knows_whether_each_row_is_answered_by_itself(estimator: Any, by_row: bool, tmp_path: Path) -> None:
    folder = save(
        tmp_path / "model", estimator.fit(IRIS.data, IRIS.target), IRIS.data, serialization_format="cloudpickle"
    )
    model: Any = load(spec_of(folder, arrow(IRIS.data).schema, "sklearn"), folder)
    assert model.by_row is by_row


RNG = np.random.default_rng(3)


def fitted(estimator: Any, *, width: int = 3, classes: int = 2, rows: int = 300) -> Any:
    return estimator.fit(RNG.normal(size=(rows, width)), np.arange(rows) % classes)


@pytest.mark.parametrize(
    ("estimator", "rows"),
    [
        (fitted(make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())), 65_536),
        (fitted(RandomForestClassifier(3)), 65_536),
        (fitted(LinearRegression(), width=128), 32_768),
        (fitted(LinearRegression(), width=500), None),
        (fitted(RandomForestClassifier(2), classes=250, rows=500), 16_777),
        (fitted(GaussianProcessRegressor(optimizer=None)), None),
        (fitted(make_pipeline(KNNImputer(), LogisticRegression())), None),
    ],
)
def test_batches_are_large_where_memory_grows_with_the_matrix_alone(estimator: Any, rows: int | None) -> None:
    width = estimator.n_features_in_
    schema = pa.schema([(f"c{number}", pa.float64()) for number in range(width)])
    assert batch_rows(estimator, bind(schema, None, inputs=tuple(schema.names))) == rows


def test_batches_of_text_are_large_only_where_it_reaches_the_estimator_as_numbers() -> None:
    binding = bind(pa.schema([("a", pa.string()), ("b", pa.float64())]), None, inputs=("a", "b"))
    estimator = fitted(LinearRegression(), width=2)
    assert batch_rows(estimator, binding) is None
    assert batch_rows(estimator, binding, {"a"}) == 65_536
