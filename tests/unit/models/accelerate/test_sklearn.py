from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from spark_infer.models.accelerate.sklearn import memory_order

RNG = np.random.default_rng(3)


def fitted(estimator: Any, *, width: int = 3, classes: int = 2, rows: int = 300) -> Any:
    return estimator.fit(RNG.normal(size=(rows, width)), np.arange(rows) % classes)


@pytest.mark.parametrize(
    ("estimator", "order"),
    [
        (fitted(RandomForestClassifier(8)), "C"),
        (fitted(ExtraTreesRegressor(8)), "C"),
        (fitted(RandomForestClassifier(2)), "F"),
        (fitted(IsolationForest(n_estimators=8)), "F"),
        (fitted(LogisticRegression()), "F"),
        (RandomForestClassifier(8), "F"),
    ],
)
def test_rows_lie_together_for_a_forest(estimator: Any, order: str) -> None:
    assert memory_order(estimator) == order


@pytest.mark.parametrize("forest", [RandomForestClassifier(20), ExtraTreesRegressor(20)])
def test_a_forest_answers_the_same_bits_in_either_layout(forest: Any) -> None:
    forest = fitted(forest)
    values = RNG.normal(size=(500, 3)).astype(np.float32)
    method = getattr(forest, "predict_proba", forest.predict)
    assert method(np.asfortranarray(values)).tobytes() == method(np.ascontiguousarray(values)).tobytes()
