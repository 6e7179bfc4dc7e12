"""Faster ways of scikit-learn's estimators, as a loaded model has them: the same bits, and nothing large is copied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from spark_infer.core.convert import project
from spark_infer.models.accelerate.accelerated import Accelerated, same_bits
from spark_infer.models.accelerate.lightgbm import BlockedBooster
from spark_infer.models.accelerate.sklearn import with_parts
from spark_infer.models.backends import load
from tests.unit.models.backends.native.specs import arrow, spec_of

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(7)
NUMBERS = pd.DataFrame(RNG.normal(size=(2_500, 4)), columns=list("abcd"))
TEXT = NUMBERS.assign(a=RNG.choice(["AA", "UA", "B6"], len(NUMBERS)).astype(object))
LABEL = (NUMBERS.b + RNG.normal(size=len(NUMBERS)) > 0).to_numpy().astype("int64")
TREES: dict[str, Any] = {"n_estimators": 120, "verbosity": -1, "n_jobs": 1}
BOTH = ("predict", "predict_proba")


def by_name() -> Any:
    return make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["a"]), (SimpleImputer(), ["b", "c", "d"]))


CASES: dict[str, tuple[Any, pd.DataFrame, tuple[str, ...], str]] = {
    "columns": (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), NUMBERS, BOTH, "one column"),
    "text": (make_pipeline(by_name(), LogisticRegression()), TEXT, BOTH[1:], "text is encoded once"),
    "trees": (make_pipeline(StandardScaler(), LGBMClassifier(**TREES)), NUMBERS, BOTH[1:], "trees are asked a few"),
    "inside": (
        StackingClassifier([("trees", LGBMClassifier(**TREES)), ("line", LogisticRegression())], cv=2),
        NUMBERS,
        BOTH[1:],
        "trees are asked a few",
    ),
    "methods": (RandomForestClassifier(10, random_state=0), NUMBERS, BOTH, "what the methods share"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_model_answers_the_same_bits_and_says_how(name: str, tmp_path: Path) -> None:
    estimator, rows, methods, how = CASES[name]
    estimator.fit(rows, LABEL)
    saved = {"serialization_format": "pickle", "pip_requirements": ["scikit-learn"]}
    mlflow.sklearn.save_model(estimator, tmp_path / "model", signature=infer_signature(rows, LABEL), **saved)
    spec = spec_of(tmp_path / "model", arrow(rows).schema, predict_method=methods)
    model: Any = load(spec, tmp_path / "model")
    plain = load(replace(spec, accelerate=False), tmp_path / "model")
    batch = project(arrow(rows), spec.binding)
    for start, count in ((0, 100), (100, 2_400), (0, 2_500)):
        inputs = batch.slice(start, count)
        assert same_bits(model.predict(inputs), plain.predict(inputs))
    assert isinstance(model, Accelerated)
    assert how in model.acceleration
    assert model.difference is None


def test_other_parts_take_their_place_in_frames_that_share_the_rest() -> None:
    trees, line = LGBMClassifier(**TREES), LogisticRegression()
    plain = make_pipeline(StandardScaler(), StackingClassifier([("trees", trees), ("line", line)], cv=2))
    plain.fit(NUMBERS, LABEL)
    inner = plain[1].estimators_[0]
    other = LogisticRegression()
    fast = with_parts(plain, {id(inner): other})
    assert fast[1].estimators_[0] is other
    assert fast[1].named_estimators_["trees"] is other
    assert plain[1].estimators_[0] is inner
    assert fast[0] is plain[0]
    assert fast[1].estimators_[1] is plain[1].estimators_[1]
    assert with_parts(plain, {}) is plain
    assert with_parts(plain, {1: other}) is plain


def test_the_plain_booster_stays_beside_the_one_in_blocks(tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), LGBMClassifier(**TREES)).fit(NUMBERS, LABEL)
    saved = {"serialization_format": "pickle", "pip_requirements": ["scikit-learn"]}
    mlflow.sklearn.save_model(model, tmp_path / "model", signature=infer_signature(NUMBERS, LABEL), **saved)
    loaded: Any = load(spec_of(tmp_path / "model", arrow(NUMBERS).schema), tmp_path / "model")
    assert not isinstance(loaded.framework_model[1].booster_, BlockedBooster)
