"""CatBoost models of every class, equal to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import catboost
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

from tests.unit.models.conformance.case import Case
from tests.unit.models.conformance.cases.lightgbm import ROWS, positive, rows, target, three, words

QUIET: dict[str, Any] = {"iterations": 6, "depth": 3, "verbose": False, "allow_writing_files": False}


def save(folder: Path, model: Any, X: Any, **how: Any) -> Any:
    signature = infer_signature(X, model.predict(X))
    mlflow.catboost.save_model(model, folder, signature=signature, pip_requirements=["catboost"], **how)
    return X


def fitted(folder: Path, labels: Callable[[pd.DataFrame], Any], kind: Any, **settings: Any) -> Any:
    X = rows()
    return save(folder, kind(**QUIET, **settings).fit(X, labels(X)), X)


def as_json(folder: Path) -> Any:
    X = rows()
    return save(folder, catboost.CatBoostRegressor(**QUIET).fit(X, target(X)), X, format="json")


def other_order(folder: Path) -> Any:
    # CatBoost finds the columns of a frame by the names that it was trained on.
    X = rows()
    model = catboost.CatBoostRegressor(**QUIET).fit(X, target(X))
    return save(folder, model, X[[*reversed(X.columns)]])


def without_names(folder: Path) -> Any:
    X = rows()
    model = catboost.CatBoostRegressor(**QUIET).fit(X.to_numpy(dtype=np.float64), target(X))
    return save(folder, model, X)


def matrix(folder: Path) -> Any:
    X = rows()[["double", "missing", "float"]].to_numpy(dtype=np.float64)
    save(folder, catboost.CatBoostRegressor(**QUIET).fit(X, target(rows())), X)
    return pd.DataFrame({"features": list(X)})


def categories(folder: Path, *, also_numbers: bool) -> Any:
    X = rows()[["double", "integer"]].assign(word=words(rows()))
    codes = ["integer", "word"] if also_numbers else ["word"]
    return save(folder, catboost.CatBoostRegressor(**QUIET, cat_features=codes).fit(X, target(rows())), X)


def codes(folder: Path) -> Any:
    # Nothing in the signature says that the whole numbers are categories.
    X = rows()[["double", "integer"]]
    return save(folder, catboost.CatBoostClassifier(**QUIET, cat_features=["integer"]).fit(X, positive(rows())), X)


def ranking(folder: Path) -> Any:
    X = rows()
    model = catboost.CatBoostRanker(**QUIET).fit(X, three(X), group_id=np.arange(ROWS) // 10)
    return save(folder, model, X)


def plain(folder: Path) -> Any:
    X = rows()
    return save(folder, catboost.CatBoost({**QUIET, "loss_function": "RMSE"}).fit(X, target(X)), X)


def _case(name: str, save: Callable[[Path], Any], backend: str = "catboost", **more: Any) -> Case:
    return Case(name=name, save=save, backend=backend, **more)


CASES = [
    _case("regressor", partial(fitted, labels=target, kind=catboost.CatBoostRegressor)),
    _case("regressor, json", as_json),
    _case("regressor, quantile", partial(fitted, labels=target, kind=catboost.CatBoostRegressor, loss_function="MAE")),
    _case("regressor, columns in another order", other_order),
    _case("regressor, trained without names", without_names),
    _case("regressor, matrix", matrix, options=(("inputs", ("features",)),)),
    _case("classifier, binary", partial(fitted, labels=positive, kind=catboost.CatBoostClassifier)),
    _case("classifier, three classes", partial(fitted, labels=three, kind=catboost.CatBoostClassifier)),
    _case("classifier, words", partial(fitted, labels=words, kind=catboost.CatBoostClassifier)),
    _case("classifier, categorical codes", codes),
    _case("regressor, texts for categories", partial(categories, also_numbers=False)),
    _case("regressor, texts and codes for categories", partial(categories, also_numbers=True)),
    _case("ranker", ranking),
    _case("plain model", plain),
]
