"""scikit-learn estimators; a number may differ in its last digits where BLAS adds up otherwise in a smaller batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.unit.models.conformance.case import Case


@cache
def iris() -> Any:
    rows, labels = load_iris(return_X_y=True, as_frame=True)
    return rows.iloc[::3].reset_index(drop=True), labels.iloc[::3].to_numpy()


@cache
def people() -> pd.DataFrame:
    """Texts, integers, truth values, and numbers of which some are missing."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "city": rng.choice(["Bonn", "Köln", "Ulm"], 90),
            "children": rng.integers(0, 5, 90),
            "income": np.where(rng.random(90) < 0.2, np.nan, rng.normal(30, 9, 90)),
            "member": rng.random(90) < 0.5,
        }
    )
    return frame.astype({"city": object})


def saved(model: Any, rows: Any, folder: Path, **how: Any) -> Any:
    predicted = getattr(model, how.get("pyfunc_predict_fn", "predict"))(rows)
    how = {"signature": infer_signature(rows, predicted), "serialization_format": "cloudpickle", **how}
    mlflow.sklearn.save_model(model, folder, pip_requirements=["scikit-learn"], **how)
    return rows


def on_iris(folder: Path, *, make: Callable[[], Any], labels: Callable[[Any], Any] = lambda y: y, **how: Any) -> Any:
    rows, y = iris()
    return saved(make().fit(rows, labels(y)), rows, folder, **how)


def on_people(folder: Path, *, make: Callable[[], Any], label: Callable[[pd.DataFrame], Any], **how: Any) -> Any:
    rows = people()
    return saved(make().fit(rows, label(rows)), rows, folder, **how)


def by_name() -> Any:
    encode = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["income", "children"]),
        ]
    )
    return Pipeline([("encode", encode), ("model", LogisticRegression())])


def boosted_categories() -> Any:
    encode = ColumnTransformer([("text", OrdinalEncoder(), ["city"])], remainder="passthrough")
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features=[0], min_samples_leaf=5)
    return make_pipeline(encode, model)


def of_texts(folder: Path) -> Any:
    rows = pd.DataFrame({"text": ["late train", "good food", "late bus", "good wine", "no seat", "nice food"] * 3})
    encode = ColumnTransformer([("words", TfidfVectorizer(), "text")])
    topics = ["travel", "table", "travel", "table", "travel", "table"] * 3
    return saved(make_pipeline(encode, LinearSVC()).fit(rows, topics), rows, folder)


def sparse_labels(folder: Path) -> Any:
    rows, y = iris()
    model = OneVsRestClassifier(LogisticRegression()).fit(rows, csr_matrix(np.eye(3, dtype=np.int64)[y]))
    signature = infer_signature(rows, model.predict(rows).toarray())
    return saved(model, rows, folder, signature=signature)


def without_signature(folder: Path) -> Any:
    return on_iris(folder, make=partial(LogisticRegression, max_iter=300), signature=False)


def with_params(folder: Path) -> Any:
    rows, y = iris()
    model = Ridge().fit(rows, y)
    signature = infer_signature(rows, model.predict(rows), params={"return_std": False})
    return saved(model, rows, folder, signature=signature)


class Median(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator of the user's, which looks columns up by name."""

    def fit(self, X: pd.DataFrame, y: Any) -> Median:
        self.level_ = float(np.median(y))
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        return X["petal width (cm)"] * 0 + self.level_


def stacked() -> Any:
    estimators = [("trees", DecisionTreeClassifier(max_depth=2)), ("bayes", GaussianNB())]
    return StackingClassifier(estimators, LogisticRegression(), cv=2)


def two(y: Any) -> Any:
    return np.column_stack([y, -2.5 * y])


def words(y: Any) -> Any:
    return np.array(["setosa", "versicolor", "virginica"])[y]


FORMULA = make_pipeline(FunctionTransformer(np.log1p), LinearRegression())
BY_POSITION = ColumnTransformer([("n", StandardScaler(), [0, 2])])
FRAMES = partial(make_pipeline, StandardScaler().set_output(transform="pandas"), LinearRegression())
LOGISTIC = partial(LogisticRegression, max_iter=300)
NAMES = tuple(iris()[0].columns)


def _case(name: str, save: Callable[[Path], Any], **more: Any) -> Case:
    return Case(name=name, save=save, backend=more.pop("backend", "sklearn"), **more)


CASES = [
    _case("logistic regression", partial(on_iris, make=LOGISTIC)),
    _case("words for classes", partial(on_iris, make=LOGISTIC, labels=words)),
    _case("truth values for classes", partial(on_iris, make=DecisionTreeClassifier, labels=lambda y: y > 0)),
    _case("probabilities", partial(on_iris, make=LOGISTIC, pyfunc_predict_fn="predict_proba"), rtol=1e-12),
    _case("log probabilities", partial(on_iris, make=GaussianNB, pyfunc_predict_fn="predict_log_proba")),
    _case("joint log probabilities", partial(on_iris, make=GaussianNB, pyfunc_predict_fn="predict_joint_log_proba")),
    _case("columns by name, texts, missing values", partial(on_people, make=by_name, label=lambda X: X.member)),
    _case("boosting on categories", partial(on_people, make=boosted_categories, label=lambda X: X.children > 2)),
    _case("words of a text", of_texts),
    _case(
        "scaled columns", partial(on_iris, make=lambda: make_pipeline(SimpleImputer(), StandardScaler(), LOGISTIC()))
    ),
    _case(
        "a forest on filled columns",
        partial(on_iris, make=lambda: make_pipeline(SimpleImputer(), RandomForestClassifier(20, random_state=0))),
    ),
    _case(
        "probabilities of scaled columns",
        partial(
            on_iris,
            make=lambda: make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), PCA(2), LOGISTIC()),
            pyfunc_predict_fn="predict_proba",
        ),
    ),
    _case("columns by position", partial(on_iris, make=lambda: make_pipeline(BY_POSITION, LogisticRegression()))),
    _case("two numbers", partial(on_iris, make=partial(RandomForestRegressor, 3, random_state=0), labels=two)),
    _case(
        "two classes each",
        partial(on_iris, make=partial(MultiOutputClassifier, LOGISTIC()), labels=lambda y: np.column_stack([y, 2 - y])),
    ),
    _case(
        "two words each", partial(on_iris, make=KNeighborsClassifier, labels=lambda y: words(np.column_stack([y, y])))
    ),
    _case("sparse labels", sparse_labels),
    _case("outliers", partial(on_iris, make=partial(IsolationForest, n_estimators=5, random_state=0))),
    _case("clusters", partial(on_iris, make=partial(KMeans, 3, n_init=1, random_state=0))),
    _case("neighbours", partial(on_iris, make=KNeighborsRegressor), rtol=1e-12),
    _case("Gaussian process", partial(on_iris, make=GaussianProcessRegressor), rtol=1e-12),
    _case("calibrated", partial(on_iris, make=partial(CalibratedClassifierCV, LinearSVC(), cv=2, method="sigmoid"))),
    _case("stacked", partial(on_iris, make=stacked)),
    _case(
        "voting",
        partial(on_iris, make=lambda: VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor())])),
        rtol=1e-12,
    ),
    _case(
        "transformed target",
        partial(on_iris, make=lambda: TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1)),
        rtol=1e-12,
    ),
    _case("steps that return frames", partial(on_iris, make=FRAMES), rtol=1e-12),
    _case("a function as a step", partial(on_iris, make=lambda: FORMULA), rtol=1e-12),
    _case("a class of the user's", partial(on_iris, make=Median)),
    _case("parameters that are not given", with_params, rtol=1e-12),
    _case(
        "parameters that are given",
        with_params,
        backend="pyfunc",
        because="inference parameters go through pyfunc",
        rtol=1e-12,
        params=(("return_std", True),),
    ),
    _case("no signature", without_signature, options=(("inputs", NAMES),)),
]
