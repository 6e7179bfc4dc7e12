"""Labels and probabilities asked for together are those that the estimator gives one by one, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from spark_infer.models.accelerate.together import call_together, label_of, shares

IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[IRIS[1]]
BOTH = ("predict", "predict_proba")


class Doubling(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Keeps nothing from fit, and writes into what it is given."""

    def __init__(self) -> None:
        self.calls = 0

    def fit(self, rows: Any, labels: Any = None) -> Doubling:
        return self

    def transform(self, rows: Any) -> Any:
        self.calls += 1
        rows *= 2
        return rows


class Contrary(RandomForestClassifier):  # type: ignore[misc]
    """Has a label of its own making."""

    def predict(self, rows: Any) -> Any:
        return self.classes_.take(np.argmin(self.predict_proba(rows), axis=1))


@pytest.mark.parametrize(
    ("estimator", "data", "derived"),
    [
        (RandomForestClassifier(5, random_state=0), (IRIS[0], NAMES), True),
        (ExtraTreesClassifier(5, random_state=0), CANCER, True),
        (LGBMClassifier(n_estimators=3, verbosity=-1), (IRIS[0], NAMES), True),
        (LGBMClassifier(n_estimators=3, verbosity=-1), CANCER, True),
        (XGBClassifier(n_estimators=3), IRIS, True),
        (XGBClassifier(n_estimators=3), CANCER, True),
        (XGBClassifier(n_estimators=3, objective="multi:softmax"), IRIS, False),
        (HistGradientBoostingClassifier(max_iter=3), IRIS, False),
        (LogisticRegression(max_iter=1000), CANCER, False),
        (Contrary(5, random_state=0), IRIS, False),
        (make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)), IRIS, False),
    ],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_the_answers_are_those_of_the_methods_alone(estimator: Any, data: Any, derived: bool) -> None:
    rows, labels = data
    estimator.fit(rows, labels)
    assert (label_of(estimator) is not None) == derived
    assert shares(estimator, BOTH) == (derived or hasattr(estimator, "steps"))
    assert not shares(estimator, BOTH[:1])
    for methods in (BOTH, BOTH[::-1]):
        found = call_together(estimator, methods, rows.copy)
        assert tuple(found) == methods
        for method in methods:
            alone = getattr(estimator, method)(rows)
            assert found[method].dtype == alone.dtype
            assert np.array_equal(found[method], alone)


def test_a_forest_walks_its_trees_once_for_both() -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(*IRIS)
    tree, calls = forest.estimators_[0], []

    def walk(*given: Any, **options: Any) -> Any:
        calls.append(given)
        return type(tree).predict_proba(tree, *given, **options)

    tree.predict_proba = walk
    call_together(forest, BOTH, IRIS[0].copy)
    assert len(calls) == 1


def test_the_steps_of_a_pipeline_run_once_on_rows_of_their_own() -> None:
    pipeline = make_pipeline(Doubling(), "passthrough", LogisticRegression(max_iter=1000)).fit(IRIS[0].copy(), IRIS[1])
    pipeline.steps[0][1].calls = 0
    found = call_together(pipeline, (*BOTH, "decision_function"), IRIS[0].copy)
    assert pipeline.steps[0][1].calls == 1
    for method, values in found.items():
        assert np.array_equal(values, getattr(pipeline, method)(IRIS[0].copy()))
