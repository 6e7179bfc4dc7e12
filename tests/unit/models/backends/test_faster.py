from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesRegressor, IsolationForest, RandomForestClassifier, StackingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

from spark_infer.models.backends.faster import batch_rows, memory_order, write_in_place
from spark_infer.models.backends.native.sklearn import parts

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
    assert batch_rows(parts(estimator)) == rows


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


def some_missing() -> npt.NDArray[np.float64]:
    values = RNG.normal(size=(200, 3))
    values[RNG.random(values.shape) < 0.1] = np.nan
    return values


@pytest.mark.parametrize(
    "steps",
    [
        [SimpleImputer(), StandardScaler()],
        [SimpleImputer(add_indicator=True), MinMaxScaler(clip=True)],
        [StandardScaler(), SimpleImputer(strategy="median"), QuantileTransformer(n_quantiles=20)],
    ],
)
def test_a_pipeline_that_writes_in_place_answers_the_same_bits(steps: list[Any]) -> None:
    given = np.asfortranarray(some_missing())
    pipeline = make_pipeline(*steps, LogisticRegression()).fit(some_missing(), np.arange(200) % 2)
    expected = pipeline.predict_proba(given)
    write_in_place(pipeline)
    matrix = given.copy(order="F")
    assert pipeline.predict_proba(matrix).tobytes() == expected.tobytes()
    assert not np.array_equal(matrix, given, equal_nan=True)  # it was written into


def test_branches_that_share_a_matrix_do_not_write_into_it() -> None:
    both = ColumnTransformer([("a", StandardScaler(), slice(0, 2)), ("b", MinMaxScaler(), slice(0, 2))])
    pipeline = fitted(Pipeline([("both", both), ("model", LogisticRegression())]))
    write_in_place(pipeline)
    given = RNG.normal(size=(5, 3))
    before = given.copy()
    pipeline.predict(given)
    assert np.array_equal(given, before)


def test_a_step_that_stands_elsewhere_too_does_not_write_there() -> None:
    rows, label = RNG.normal(5, 3, size=(80, 3)), RNG.normal(size=80)
    scaler = StandardScaler().fit(rows)
    branch = make_pipeline(scaler, LinearRegression()).fit(rows, label)
    both = StackingRegressor([("a", branch), ("b", LinearRegression().fit(rows, label))], cv="prefit")
    pipeline = make_pipeline(scaler, both).fit(rows, label)
    pipeline.steps[0] = ("standardscaler", scaler)
    expected = pipeline.predict(rows.copy())
    write_in_place(pipeline)
    assert pipeline.predict(np.asfortranarray(rows)).tobytes() == expected.tobytes()
