"""LightGBM boosters that are asked block by block: the same bits, or the booster itself."""

from __future__ import annotations

import functools
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from spark_infer.models.accelerate.lightgbm import BlockedBooster, estimator_in_blocks, trees_in_blocks

ROWS, WIDTH = 3_000, 6
RNG = np.random.default_rng(11)
Matrix = npt.NDArray[Any]


def table(rows: int = ROWS) -> Matrix:
    """Whole numbers, zeros and missing values among others."""
    values = RNG.normal(size=(rows, WIDTH))
    values[:, 1] = RNG.integers(0, 12, rows)
    values[RNG.random(values.shape) < 0.05] = np.nan
    values[RNG.random(values.shape) < 0.05] = 0.0
    return values


TABLE = table()
SIGNAL = np.nan_to_num(TABLE[:, 0]) + (TABLE[:, 1] == 3) + RNG.normal(size=ROWS) / 3


def booster(trees: int = 90, leaves: int = 31, label: Matrix = SIGNAL, **params: Any) -> lightgbm.Booster:
    """Of five blocks."""
    data = lightgbm.Dataset(TABLE, label, categorical_feature=[1], free_raw_data=False, **params.pop("data", {}))
    given = {"objective": "regression", "num_leaves": leaves, "verbosity": -1, "min_data_in_leaf": 5, "num_threads": 1}
    trained = lightgbm.train({**given, **params}, data, trees)
    return lightgbm.Booster(model_str=trained.model_to_string())


def bits(answers: Any) -> bytes:
    return np.asarray(answers).tobytes()


def in_blocks(model: lightgbm.Booster) -> BlockedBooster:
    trees = trees_in_blocks(model)
    assert trees is not None
    return BlockedBooster(model, model.predict, trees)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it pays is the machine's affair: here it always does."""
    clock = iter(range(10**9))  # each step takes longer than the one before
    monkeypatch.setattr("spark_infer.models.accelerate.lightgbm.perf_counter", lambda: next(clock) ** 2)


OBJECTIVES: dict[str, dict[str, Any]] = {
    "regression": {},
    "regression_l1": {},
    "quantile": {"alpha": 0.8},
    "poisson": {"label": np.floor(np.exp(np.clip(SIGNAL, -2, 2)))},
    "tweedie": {"label": np.exp(np.clip(SIGNAL, -2, 2))},
    "binary": {"label": (SIGNAL > 0).astype(float), "sigmoid": 0.7},
    "multiclass": {"label": np.digitize(SIGNAL, [-0.5, 0.5]).astype(float), "num_class": 3, "trees": 35},
    "lambdarank": {"label": np.digitize(SIGNAL, [-0.5, 0.5]), "data": {"group": [100] * 30}},
}


@functools.cache
def model_text(objective: str) -> str:
    return str(booster(objective=objective, **OBJECTIVES[objective]).model_to_string())


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("objective", "dtype"),
    [
        *((objective, np.float64) for objective in OBJECTIVES),
        ("binary", np.float32),
        *(pytest.param(other, np.float32, marks=pytest.mark.soak) for other in OBJECTIVES if other != "binary"),
    ],
)
def test_every_objective_answers_the_same_bits(objective: str, dtype: Any) -> None:
    model = lightgbm.Booster(model_str=model_text(objective))
    rows = table(20_000).astype(dtype)
    expected = model.predict(rows, num_threads=1)
    blocks = in_blocks(model)
    for layout in (np.asfortranarray, np.ascontiguousarray):
        found = blocks.predict(layout(rows), num_threads=1)
        assert np.asarray(found).shape == np.asarray(expected).shape
        assert bits(found) == bits(expected)
    assert blocks._pays


@pytest.mark.usefixtures("always")
def test_scores_that_overflow_answer_the_same_bits() -> None:
    model = booster(objective="binary", label=(SIGNAL > 0).astype(float))
    text = model.model_to_string().replace("sigmoid:1", "sigmoid:1000")
    expected = lightgbm.Booster(model_str=text).predict(TABLE)
    model = lightgbm.Booster(model_str=text)
    assert bits(in_blocks(model).predict(TABLE)) == bits(expected)
    assert set(np.unique(expected)) >= {0.0, 1.0}


@pytest.mark.usefixtures("always")
def test_a_model_that_stopped_early_is_asked_up_to_its_best_iteration() -> None:
    model = booster()
    model.best_iteration = 47
    assert bits(model.predict(TABLE)) == bits(model.predict(TABLE, num_iteration=47))
    expected = model.predict(TABLE)
    blocks = in_blocks(model)
    assert bits(blocks.predict(TABLE)) == bits(expected)
    assert blocks._pays


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", [lightgbm.LGBMClassifier, lightgbm.LGBMRegressor])
def test_estimators_answer_the_same_bits(kind: Any) -> None:
    label = SIGNAL if kind is lightgbm.LGBMRegressor else SIGNAL > 0
    model = kind(n_estimators=120, verbosity=-1, n_jobs=1).fit(TABLE, label)
    methods = ["predict"] if kind is lightgbm.LGBMRegressor else ["predict", "predict_proba"]
    fast = estimator_in_blocks(model)
    for method in methods:
        assert bits(getattr(fast, method)(TABLE)) == bits(getattr(model, method)(TABLE))
    assert fast.booster_._pays
    assert isinstance(model.booster_, lightgbm.Booster)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "asked", [{"raw_score": True}, {"pred_leaf": True}, {"pred_contrib": True}, {"num_iteration": 7}]
)
def test_other_questions_are_the_boosters_own(asked: dict[str, Any]) -> None:
    model, rows = booster(), TABLE[:500]
    blocks = in_blocks(model)
    assert bits(blocks.predict(rows, **asked)) == bits(model.predict(rows, **asked))
    assert blocks._pays is None
    assert blocks.num_trees() == model.num_trees()


@pytest.mark.parametrize(
    "make",
    [
        lambda: booster(linear_tree=True),
        lambda: booster(boosting="rf", bagging_freq=1, bagging_fraction=0.5),
        lambda: booster(reg_sqrt=True, label=np.abs(SIGNAL)),
        lambda: booster(objective="cross_entropy", label=(SIGNAL > 0).astype(float)),
        lambda: booster(trees=20),
    ],
    ids=["linear trees", "a forest", "squares", "another objective", "few trees"],
)
def test_other_models_are_left_alone(make: Any) -> None:
    assert trees_in_blocks(make()) is None


def test_where_it_takes_longer_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    model = booster()
    blocks = in_blocks(model)
    times = iter([0.0, 1.0, 1.0 + 1e-9])
    monkeypatch.setattr("spark_infer.models.accelerate.lightgbm.perf_counter", lambda: next(times))
    assert bits(blocks.predict(TABLE)) == bits(model.predict(TABLE))
    assert blocks._pays is False
    monkeypatch.setattr(blocks, "_trees", None)  # nobody looks at them again
    assert bits(blocks.predict(TABLE)) == bits(model.predict(TABLE))
