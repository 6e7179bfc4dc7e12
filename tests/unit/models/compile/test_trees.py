"""Trees of every library, in ONNX Runtime: on the data, at every threshold, one float beside it, and without values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from spark_infer.errors import ModelRefusedError
from spark_infer.models.compile.to_onnx import Inputs, convert
from spark_infer.models.compile.trees import read_trees

pytestmark = pytest.mark.filterwarnings("ignore")

Matrix = npt.NDArray[Any]
QUIET: dict[str, Any] = {"verbosity": -1, "n_estimators": 20, "n_jobs": 1}


def holes(X: Matrix) -> Matrix:
    return np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)


CANCER, IS_BENIGN = load_breast_cancer(return_X_y=True)
WINE, KIND = load_wine(return_X_y=True)
PEOPLE, PROGRESS = load_diabetes(return_X_y=True)
CULTIVAR = np.array(["first", "second", "third"], object)[KIND]

CLASSIFIERS = {
    "sklearn forest": (RandomForestClassifier(20, random_state=0), holes(CANCER), IS_BENIGN),
    "sklearn forest, words": (ExtraTreesClassifier(20, random_state=0), WINE, CULTIVAR),
    "sklearn tree": (DecisionTreeClassifier(max_depth=4, random_state=0), CANCER, IS_BENIGN),
    "sklearn boosting": (GradientBoostingClassifier(n_estimators=15), CANCER, IS_BENIGN),
    "sklearn boosting, exponential": (
        GradientBoostingClassifier(n_estimators=9, loss="exponential"),
        CANCER,
        IS_BENIGN,
    ),
    "sklearn boosting, words": (GradientBoostingClassifier(n_estimators=9), WINE, CULTIVAR),
    "sklearn histograms": (HistGradientBoostingClassifier(max_iter=20), holes(CANCER), IS_BENIGN),
    "sklearn histograms, words": (HistGradientBoostingClassifier(max_iter=20), holes(WINE), CULTIVAR),
    "lightgbm": (lightgbm.LGBMClassifier(**QUIET), holes(CANCER), IS_BENIGN),
    "lightgbm, trained without holes": (lightgbm.LGBMClassifier(**QUIET), CANCER, IS_BENIGN),
    "lightgbm, words": (lightgbm.LGBMClassifier(**QUIET), holes(WINE), CULTIVAR),
    "lightgbm, one against the rest": (lightgbm.LGBMClassifier(objective="multiclassova", **QUIET), WINE, CULTIVAR),
    "lightgbm, steep": (lightgbm.LGBMClassifier(sigmoid=2.5, **QUIET), holes(CANCER), IS_BENIGN),
    "lightgbm, forest": (
        lightgbm.LGBMClassifier(boosting_type="rf", bagging_freq=1, bagging_fraction=0.7, **QUIET),
        holes(CANCER),
        IS_BENIGN,
    ),
    "xgboost": (xgboost.XGBClassifier(n_estimators=20), holes(CANCER), IS_BENIGN),
    "xgboost, three classes": (xgboost.XGBClassifier(n_estimators=20), holes(WINE), KIND),
    "xgboost, forest": (xgboost.XGBRFClassifier(n_estimators=20), holes(CANCER), IS_BENIGN),
    "pipeline, forest": (
        make_pipeline(SimpleImputer(), StandardScaler(), RandomForestClassifier(20, random_state=0)),
        holes(CANCER),
        IS_BENIGN,
    ),
    "pipeline, xgboost": (make_pipeline(StandardScaler(), xgboost.XGBClassifier()), holes(CANCER), IS_BENIGN),
    "pipeline, lightgbm": (make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(**QUIET)), holes(CANCER), IS_BENIGN),
}
REGRESSORS = {
    "sklearn forest": (RandomForestRegressor(20, random_state=0), holes(PEOPLE), PROGRESS),
    "sklearn forest, two targets": (
        RandomForestRegressor(20, random_state=0),
        PEOPLE,
        np.column_stack([PROGRESS, -PROGRESS]),
    ),
    "sklearn tree of one leaf": (DecisionTreeRegressor(), PEOPLE, np.ones(len(PEOPLE))),
    "sklearn boosting": (GradientBoostingRegressor(n_estimators=15), PEOPLE, PROGRESS),
    "sklearn boosting from zero": (GradientBoostingRegressor(n_estimators=15, init="zero"), PEOPLE, PROGRESS),
    **{
        f"sklearn histograms, {loss}": (HistGradientBoostingRegressor(loss=loss, max_iter=20), holes(PEOPLE), PROGRESS)
        for loss in ("squared_error", "absolute_error", "poisson", "gamma")
    },
    **{
        f"lightgbm, {objective}": (lightgbm.LGBMRegressor(objective=objective, **QUIET), holes(PEOPLE), PROGRESS)
        for objective in ("regression", "regression_l1", "huber", "quantile", "poisson", "gamma", "tweedie")
    },
    "lightgbm, square roots": (lightgbm.LGBMRegressor(reg_sqrt=True, **QUIET), holes(PEOPLE), PROGRESS),
    "lightgbm, dart": (lightgbm.LGBMRegressor(boosting_type="dart", **QUIET), holes(PEOPLE), PROGRESS),
    **{
        f"xgboost, {objective}": (xgboost.XGBRegressor(objective=f"reg:{objective}"), holes(PEOPLE), PROGRESS)
        for objective in ("squarederror", "absoluteerror", "pseudohubererror", "squaredlogerror", "gamma", "tweedie")
    },
    "xgboost, poisson": (xgboost.XGBRegressor(objective="count:poisson"), holes(PEOPLE), PROGRESS),
}


def hard_rows(model: Any, X: Matrix) -> Matrix:
    """The data, and rows that stand on a threshold of the model, one float before it and one after it."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    trees = read_trees(last)
    assert trees is not None
    rng = np.random.default_rng(1)
    found = [
        (int(tree.feature[node]), tree.threshold[node])
        for tree in trees.trees
        for node in np.flatnonzero(tree.left >= 0)
    ]
    found = [each for each in found if np.isfinite(each[1])]  # an infinite one parts missing values from all others
    found = [found[index] for index in rng.permutation(len(found))[:500]]
    rows = [X]
    for toward in (None, -np.inf, np.inf):
        for kind in (np.float64, np.float32):
            edge = X[rng.integers(0, len(X), len(found))]
            for row, (column, threshold) in enumerate(found):
                edge[row, column] = kind(threshold) if toward is None else np.nextafter(kind(threshold), kind(toward))
            rows.append(edge)
    return np.concatenate(rows)


def answers(model: Any, methods: Sequence[str], X: Matrix, *, flat: bool) -> list[Matrix]:
    dtype = "float32" if type(model).__module__.startswith("xgboost") else "float64"
    converted = convert(model, methods, Inputs(width=X.shape[1], dtype=dtype), flat=flat)
    session = onnxruntime.InferenceSession(converted.content, providers=["CPUExecutionProvider"])
    return list(session.run(list(converted.ports), {"X": X.astype(dtype)}))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_the_same_labels_and_probabilities(name: str) -> None:
    model, X, y = CLASSIFIERS[name]
    model.fit(X, y)
    rows = hard_rows(model, X)
    labels, probabilities = answers(model, ["predict", "predict_proba"], rows, flat=True)
    assert labels.tolist() == model.predict(rows).tolist()
    bound = 1e-6 if "xgboost" in name else 1e-14  # XGBoost adds up in float32
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=0, atol=bound)


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_answers_the_same_numbers(name: str) -> None:
    model, X, y = REGRESSORS[name]
    model.fit(X, y)
    rows = hard_rows(model, X)
    wanted = model.predict(rows)
    (found,) = answers(model, ["predict"], rows, flat=wanted.ndim == 1)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if "xgboost" in name else 1e-13, atol=1e-12)


@pytest.mark.parametrize("kind", [lightgbm.LGBMClassifier, xgboost.XGBClassifier])
def test_only_the_trees_up_to_the_best_iteration_count(kind: Any) -> None:
    half, how = len(CANCER) // 2, QUIET | {"n_estimators": 200, "learning_rate": 0.5}
    held_out: Any = [(CANCER[half:], np.random.default_rng(0).permutation(IS_BENIGN[half:]))]
    if kind is lightgbm.LGBMClassifier:
        model = kind(**how).fit(
            CANCER[:half], IS_BENIGN[:half], eval_set=held_out, callbacks=[lightgbm.early_stopping(2, verbose=False)]
        )
    else:
        model = kind(n_estimators=200, early_stopping_rounds=2)
        model.fit(CANCER[:half], IS_BENIGN[:half], eval_set=held_out, verbose=False)
    trees = read_trees(model)
    assert trees is not None
    assert len(trees.trees) < 50
    (found,) = answers(model, ["predict_proba"], CANCER, flat=True)
    np.testing.assert_allclose(found, model.predict_proba(CANCER), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lightgbm.LGBMRegressor(linear_tree=True, **QUIET), "linear models"),
        (lightgbm.LGBMRegressor(zero_as_missing=True, **QUIET), "zeros for missing values"),
        (xgboost.XGBRegressor(booster="gblinear"), "gblinear"),
        (xgboost.XGBRegressor(booster="dart"), "dart"),
        (xgboost.XGBRegressor(objective="reg:quantileerror", quantile_alpha=0.5), "objective 'reg:quantileerror'"),
        (GradientBoostingRegressor(init=LinearRegression()), "starts from an estimator"),
        (HistGradientBoostingRegressor(categorical_features=[1]), "categories"),
    ],
)
def test_what_a_graph_would_not_follow_is_refused_with_the_reason(model: Any, reason: str) -> None:
    X = PEOPLE.copy()
    X[:, 1] = (X[:, 1] > 0) + 0.0
    with pytest.raises(ModelRefusedError, match=reason):
        read_trees(model.fit(X, PROGRESS))
