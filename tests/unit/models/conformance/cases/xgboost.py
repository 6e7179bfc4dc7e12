"""XGBoost models: boosters and the scikit-learn API, equal to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature

from tests.unit.models.conformance.case import Case

ROWS = 300


def rows() -> pd.DataFrame:
    """Doubles (one with missing values), floats, both integers (one beyond 2**53) and a boolean."""
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "double": rng.normal(size=ROWS),
            "missing": np.where(rng.random(ROWS) < 0.3, np.nan, rng.normal(size=ROWS)),
            "float": rng.normal(size=ROWS).astype("float32"),
            "integer": rng.integers(0, 9, ROWS).astype("int32"),
            "long": rng.integers(-(2**60), 2**60, ROWS),
            "boolean": rng.random(ROWS) < 0.5,
        }
    )


def target(frame: pd.DataFrame) -> Any:
    return (frame["double"] + frame["integer"] / 4 + frame["boolean"] - frame["missing"].fillna(0)).to_numpy()


def three(frame: pd.DataFrame) -> Any:
    return np.digitize(target(frame), [0.5, 2.0])


def save(folder: Path, model: Any, X: Any, predicted: Any, **how: Any) -> Any:
    signature = infer_signature(X, predicted)
    mlflow.xgboost.save_model(model, folder, signature=signature, pip_requirements=["xgboost"], **how)
    return X


def booster(folder: Path, labels: Callable[[pd.DataFrame], Any], settings: dict[str, Any], **how: Any) -> Any:
    X = rows()
    matrix = xgboost.DMatrix(X, labels(X))
    model = xgboost.train({"max_depth": 3, **settings}, matrix, 6)
    return save(folder, model, X, model.predict(matrix), **how)


def estimator(folder: Path, labels: Callable[[pd.DataFrame], Any], kind: Any, settings: dict[str, Any]) -> Any:
    X = rows()
    model = kind(n_estimators=6, max_depth=3, **settings).fit(X, labels(X))
    return save(folder, model, X, model.predict(X))


def stopped_early(folder: Path, *, of_sklearn: bool) -> Any:
    X, y = rows(), np.random.default_rng(4).normal(size=ROWS)
    half = ROWS // 2
    if of_sklearn:
        model: Any = xgboost.XGBRegressor(n_estimators=30, early_stopping_rounds=3)
        model.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], verbose=False)
        trees = model.get_booster().num_boosted_rounds()
    else:
        sets = [(xgboost.DMatrix(X[half:], y[half:]), "held_out")]
        train = xgboost.DMatrix(X[:half], y[:half])
        model = xgboost.train({}, train, 30, evals=sets, early_stopping_rounds=3, verbose_eval=False)
        trees = model.num_boosted_rounds()
    # There are trees beyond the best: an estimator leaves them out, a booster does not.
    assert model.best_iteration + 1 < trees
    return save(folder, model, X, np.zeros(ROWS, dtype=np.float32))


def codes(folder: Path) -> Any:
    X = pd.DataFrame({"number": rows()["double"], "code": rows()["integer"]})
    y = np.where(X["code"].isin([1, 4, 7]), 3.0, 0.0)
    matrix = xgboost.DMatrix(X.to_numpy(), y, feature_types=["q", "c"], enable_categorical=True)
    return save(folder, xgboost.train({"max_depth": 3}, matrix, 6), X, np.zeros(ROWS, dtype=np.float32))


def matrix(folder: Path, *, of_sklearn: bool) -> Any:
    X = rows()[["double", "missing", "float"]].to_numpy(dtype=np.float64)
    y = target(rows())
    model: Any
    if of_sklearn:
        model = xgboost.XGBRegressor(n_estimators=6).fit(X, y)
    else:
        model = xgboost.train({}, xgboost.DMatrix(X, y), 6)
    save(folder, model, X, np.zeros(ROWS, dtype=np.float32))
    return pd.DataFrame({"features": list(X)})


def ranking(folder: Path, *, with_qid: bool) -> Any:
    X = rows()
    X.insert(0, "qid", np.repeat(np.arange(ROWS // 10), 10))
    model = xgboost.XGBRanker(n_estimators=6, max_depth=3).fit(X, three(X))
    return save(folder, model, X if with_qid else X.drop(columns="qid"), np.zeros(ROWS, dtype=np.float32))


class OwnRegressor(xgboost.XGBRegressor):
    """A class of the user's; it may predict as it likes."""


LINEAR = {"booster": "gblinear"}
REGRESSION = {"objective": "reg:squarederror"}
BINARY = {"objective": "binary:logistic"}
MULTI = {"objective": "multi:softprob", "num_class": 3}
TWO = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}


def positive(frame: pd.DataFrame) -> Any:
    return (target(frame) > 1).astype("int64")


def both(frame: pd.DataFrame) -> Any:
    return np.column_stack([target(frame), -target(frame)])


def _case(name: str, save: Callable[[Path], Any], backend: str = "xgboost", **more: Any) -> Case:
    return Case(name=name, save=save, backend=backend, **more)


CASES = [
    _case("booster, regression", partial(booster, labels=target, settings=REGRESSION)),
    _case("booster, json", partial(booster, labels=target, settings=REGRESSION, model_format="json")),
    _case("booster, binary", partial(booster, labels=positive, settings=BINARY)),
    _case("booster, three classes", partial(booster, labels=three, settings=MULTI)),
    _case("booster, two targets", partial(booster, labels=both, settings=TWO)),
    _case("booster, dart", partial(booster, labels=target, settings={"booster": "dart", "rate_drop": 0.5})),
    _case("booster, linear", partial(booster, labels=target, settings=LINEAR)),
    _case("booster, stopped early", partial(stopped_early, of_sklearn=False)),
    _case("booster, categorical codes", codes),
    _case("booster, matrix", partial(matrix, of_sklearn=False), options=(("inputs", ("features",)),)),
    _case("regressor", partial(estimator, labels=target, kind=xgboost.XGBRegressor, settings={})),
    _case(
        "regressor, linear",
        partial(estimator, labels=target, kind=xgboost.XGBRegressor, settings=LINEAR),
    ),
    _case("regressor, two targets", partial(estimator, labels=both, kind=xgboost.XGBRegressor, settings={})),
    _case("regressor, stopped early", partial(stopped_early, of_sklearn=True)),
    _case("regressor, matrix", partial(matrix, of_sklearn=True), options=(("inputs", ("features",)),)),
    _case("classifier, binary", partial(estimator, labels=positive, kind=xgboost.XGBClassifier, settings={})),
    _case("classifier, three classes", partial(estimator, labels=three, kind=xgboost.XGBClassifier, settings={})),
    _case("random forest", partial(estimator, labels=positive, kind=xgboost.XGBRFClassifier, settings={})),
    _case("ranker", partial(ranking, with_qid=False)),
    _case("ranker with groups", partial(ranking, with_qid=True), "pyfunc", because="'qid'"),
    _case(
        "a class of the user's",
        partial(estimator, labels=target, kind=OwnRegressor, settings={}),
        "pyfunc",
        because="not one of XGBoost's own",
    ),
]
