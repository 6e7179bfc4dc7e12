"""LightGBM models: boosters and the scikit-learn API, equal to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

from tests.unit.models.conformance.case import Case

ROWS = 300
QUIET: dict[str, Any] = {"verbosity": -1, "min_data_in_leaf": 5, "num_leaves": 8}


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


def positive(frame: pd.DataFrame) -> Any:
    return (target(frame) > 1).astype("int64")


def words(frame: pd.DataFrame) -> Any:
    return np.array(["low", "middle", "high"], dtype=object)[three(frame)]


def save(folder: Path, model: Any, X: Any, predicted: Any, **how: Any) -> Any:
    signature = infer_signature(X, predicted)
    mlflow.lightgbm.save_model(model, folder, signature=signature, pip_requirements=["lightgbm"], **how)
    return X


def booster(folder: Path, labels: Callable[[pd.DataFrame], Any], settings: dict[str, Any]) -> Any:
    X = rows()
    model = lightgbm.train({**QUIET, **settings}, lightgbm.Dataset(X, labels(X)), 6)
    return save(folder, model, X, model.predict(X))


def estimator(
    folder: Path, labels: Callable[[pd.DataFrame], Any], kind: Any, saved_as: str = "skops", **settings: Any
) -> Any:
    X = rows()
    model = kind(n_estimators=6, **QUIET, **settings).fit(X, labels(X))
    return save(folder, model, X, model.predict(X), serialization_format=saved_as, skops_trusted_types=TRUSTED)


def small_numbers(folder: Path) -> Any:
    # Floats, shorts and booleans alone: LightGBM takes them as float32.
    X = rows()[["float", "boolean"]]
    model = lightgbm.train(QUIET, lightgbm.Dataset(X, target(rows())), 6)
    return save(folder, model, X, model.predict(X))


def stopped_early(folder: Path) -> Any:
    X, y = rows(), np.random.default_rng(4).normal(size=ROWS)
    half = ROWS // 2
    model = lightgbm.LGBMRegressor(n_estimators=50, **QUIET)
    stop = lightgbm.early_stopping(3, verbose=False)
    model.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], callbacks=[stop])
    assert model.best_iteration_ < 50
    return save(folder, model, X, model.predict(X))


def codes(folder: Path) -> Any:
    X = pd.DataFrame({"number": rows()["double"], "code": rows()["integer"]})
    y = np.where(X["code"].isin([1, 4, 7]), 3.0, 0.0)
    settings = {**QUIET, "min_data_per_group": 5, "cat_smooth": 1}
    model = lightgbm.train(settings, lightgbm.Dataset(X, y, categorical_feature=["code"]), 6)
    assert "num_cat=0" not in model.model_to_string()
    return save(folder, model, X, model.predict(X))


def matrix(folder: Path) -> Any:
    X = rows()[["double", "missing", "float"]].to_numpy(dtype=np.float64)
    model = lightgbm.train(QUIET, lightgbm.Dataset(X, target(rows())), 6)
    save(folder, model, X, model.predict(X))
    return pd.DataFrame({"features": list(X)})


def ranking(folder: Path) -> Any:
    X = rows()
    model = lightgbm.LGBMRanker(n_estimators=6, **QUIET).fit(X, three(X), group=[10] * (ROWS // 10))
    return save(folder, model, X, model.predict(X), skops_trusted_types=TRUSTED)


class OwnRegressor(lightgbm.LGBMRegressor):
    """A class of the user's; it may predict as it likes."""


TRUSTED = ["collections.defaultdict", "lightgbm.sklearn.LGBMRanker", "numpy.dtype"]
BINARY = {"objective": "binary"}
MULTI = {"objective": "multiclass", "num_class": 3}
LINEAR = {"linear_tree": True}
DART = {"boosting": "dart", "drop_rate": 0.5}


def _case(name: str, save: Callable[[Path], Any], backend: str = "lightgbm", **more: Any) -> Case:
    return Case(name=name, save=save, backend=backend, **more)


CASES = [
    _case("booster, regression", partial(booster, labels=target, settings={})),
    _case("booster, binary", partial(booster, labels=positive, settings=BINARY)),
    _case("booster, three classes", partial(booster, labels=three, settings=MULTI)),
    _case("booster, dart", partial(booster, labels=target, settings=DART)),
    _case("booster, linear trees", partial(booster, labels=target, settings=LINEAR)),
    _case("booster, floats and booleans", small_numbers),
    _case("booster, categorical codes", codes),
    _case("booster, matrix", matrix, options=(("inputs", ("features",)),)),
    _case("regressor", partial(estimator, labels=target, kind=lightgbm.LGBMRegressor)),
    _case("regressor, stopped early", stopped_early),
    _case("classifier, binary", partial(estimator, labels=positive, kind=lightgbm.LGBMClassifier)),
    _case("classifier, words", partial(estimator, labels=words, kind=lightgbm.LGBMClassifier)),
    _case("classifier, pickled", partial(estimator, labels=three, kind=lightgbm.LGBMClassifier, saved_as="pickle")),
    _case("ranker", ranking),
    _case(
        "a class of the user's",
        partial(estimator, labels=target, kind=OwnRegressor, saved_as="cloudpickle"),
        "pyfunc",
        because="not one of LightGBM's own",
    ),
]
