"""The first steps of a pipeline by column: the same bits, or the pipeline itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from spark_infer.models.accelerate.columns import UnusualValuesError, by_column

WIDTH = 4
RNG = np.random.default_rng(5)
Matrix = npt.NDArray[np.float64]


def table(rows: int = 300) -> Matrix:
    """Columns of quite different sizes, one of them constant, with values missing."""
    values = RNG.normal(size=(rows, WIDTH)) * [1, 1e-6, 1e9, 0] + [0, 5, -3, 7]
    values[RNG.random(values.shape) < 0.1] = np.nan
    return values


def fitted(*steps: Any, data: Matrix | None = None) -> Pipeline:
    """Steps and a model that keeps what reaches it visible in its answers."""
    data = table() if data is None else data
    return make_pipeline(*map(clone, steps), LinearRegression()).fit(data, np.nan_to_num(data[:, 0]))


CHAINS = [
    [SimpleImputer()],
    [SimpleImputer(strategy="median"), StandardScaler()],
    [SimpleImputer(strategy="constant", fill_value=-1.5), RobustScaler(), MaxAbsScaler()],
    [SimpleImputer(strategy="most_frequent"), MinMaxScaler()],
    [StandardScaler(with_mean=False), SimpleImputer(), StandardScaler(with_std=False)],
    [RobustScaler(with_centering=False), SimpleImputer(), RobustScaler(with_scaling=False)],
    [SimpleImputer(), StandardScaler(with_mean=False, with_std=False), MinMaxScaler((-3, 5))],
]
PIPELINES = [fitted(*steps) for steps in CHAINS]


def through(pipeline: Pipeline, values: Matrix) -> Matrix | str:
    """What reaches the model by the pipeline's own steps; or that they refuse."""
    try:
        made: Matrix = pipeline[:-1].transform(values)
        return made
    except ValueError:
        return "refused"


def columns_of(pipeline: Pipeline, values: Matrix) -> Matrix | str:
    found = by_column(pipeline, WIDTH)
    assert found is not None
    assert found.rest is pipeline.steps[-1][1]
    try:
        return found.apply(np.asfortranarray(values).copy(order="F"))
    except UnusualValuesError:
        return "refused"


NUMBERS = st.one_of(
    st.floats(width=64),
    st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7e308, -1.7e308, 7.0]),
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda each: "-".join(name for name, _ in each.steps[:-1]))
@given(values=hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.just(WIDTH)), elements=NUMBERS))
def test_any_values_come_to_the_same_bits_or_are_refused_by_both(pipeline: Pipeline, values: Matrix) -> None:
    expected, found = through(pipeline, values.copy()), columns_of(pipeline, values)
    if isinstance(expected, str) or isinstance(found, str):
        assert (isinstance(expected, str), isinstance(found, str)) == (True, True)
        return
    missing = np.isnan(expected)  # the bits of a NaN are nobody's business
    assert np.array_equal(missing, np.isnan(found))
    assert np.where(missing, 0, expected).tobytes() == np.where(missing, 0, found).tobytes()


def test_a_matrix_of_many_rows_comes_to_the_same_bits() -> None:
    values = table(70_000)
    for pipeline in PIPELINES:
        expected, found = through(pipeline, values.copy()), columns_of(pipeline, values)
        assert np.array_equal(expected, found, equal_nan=True)


def test_steps_that_are_not_known_are_left_to_the_pipeline() -> None:
    pipeline = fitted(SimpleImputer(), StandardScaler(), PCA(2), MinMaxScaler())
    found = by_column(pipeline, WIDTH)
    assert found is not None
    assert [name for name, _ in found.rest.steps] == ["pca", "minmaxscaler", "linearregression"]
    values = table()
    expected = pipeline.predict(values.copy())
    assert np.array_equal(found.rest.predict(found.apply(np.asfortranarray(values))), expected)
    assert len(pipeline.steps) == 5


class OwnScaler(StandardScaler):  # type: ignore[misc]
    """Not scikit-learn's."""


def shadowed() -> Pipeline:
    pipeline = fitted(StandardScaler(), data=RNG.normal(size=(50, WIDTH)))
    pipeline.steps[0][1].transform = lambda values: values * 0
    return pipeline


def unfitted() -> Pipeline:
    return make_pipeline(StandardScaler(), LinearRegression())


EMPTY = np.column_stack([RNG.normal(size=(50, WIDTH - 1)), np.full(50, np.nan)])
FULL = RNG.normal(size=(50, WIDTH))


@pytest.mark.filterwarnings("ignore:Skipping features:UserWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: fitted(SimpleImputer(add_indicator=True)),
        lambda: fitted(SimpleImputer(missing_values=7.0, strategy="constant", fill_value=0.0), data=FULL),
        lambda: fitted(SimpleImputer(), data=EMPTY),
        lambda: fitted(SimpleImputer(), data=FULL.astype(np.float32)),
        lambda: fitted(SimpleImputer(strategy="most_frequent"), data=FULL.astype(np.int64)),
        lambda: fitted(MinMaxScaler(clip=True), data=FULL),
        lambda: fitted(OwnScaler(), data=FULL),
        lambda: fitted(PCA(2), StandardScaler(), data=FULL),
        lambda: shadowed(),
        lambda: unfitted(),
        lambda: LogisticRegression().fit(FULL, np.arange(50) % 2),
    ],
)
def test_others_keep_their_steps(make: Callable[[], Any]) -> None:
    assert by_column(make(), WIDTH) is None


def test_a_matrix_of_another_width_keeps_its_steps() -> None:
    assert by_column(PIPELINES[1], WIDTH + 1) is None
