"""A faster way is taken as long as it is asked for, checked with these versions, and seen to answer alike."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import mlflow.lightgbm
import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from spark_infer.models.accelerate import sklearn as of_sklearn
from spark_infer.models.accelerate.accelerated import COMPARED_ROWS, same_bits, unchecked
from spark_infer.models.backends import load
from spark_infer.models.backends.native.lightgbm import LightgbmModel
from spark_infer.models.backends.native.sklearn import SklearnModel
from spark_infer.models.backends.spec import LoadSpec
from tests.unit.models.backends.native.specs import arrow, spec_of

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(2)
ROWS = pd.DataFrame(RNG.normal(size=(900, 4)), columns=list("abcd"))
LABEL = (ROWS.a + ROWS.b > 0).to_numpy().astype("int64")
BATCH = arrow(ROWS)


def saved_pipeline(folder: Path) -> tuple[LoadSpec, Path]:
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(ROWS, LABEL)
    how = {"serialization_format": "pickle", "pip_requirements": ["scikit-learn"]}
    mlflow.sklearn.save_model(pipeline, folder / "model", signature=infer_signature(ROWS, LABEL), **how)
    return spec_of(folder / "model", BATCH.schema, predict_method=("predict_proba",)), folder / "model"


def saved_booster(folder: Path) -> tuple[LoadSpec, Path]:
    settings = {"objective": "regression", "num_leaves": 31, "min_data_in_leaf": 2, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(ROWS, ROWS.a * ROWS.b), 100)
    signature = infer_signature(ROWS, ROWS.a.to_numpy())
    mlflow.lightgbm.save_model(booster, folder / "model", signature=signature, pip_requirements=["lightgbm"])
    return spec_of(folder / "model", BATCH.schema), folder / "model"


SAVED = {SklearnModel: saved_pipeline, LightgbmModel: saved_booster}


@pytest.fixture(params=SAVED, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def make_otherwise(model: Any) -> None:
    """Have the library answer otherwise than the fast way, which has read what it was loaded with."""
    if isinstance(model.framework_model, Pipeline):
        model.framework_model[1].transform = lambda rows: rows * 0.5
    else:
        for leaf in range(20):
            model.framework_model.set_leaf_output(3, leaf, 77.0)


def test_both_ways_answer_alike_and_the_fast_one_is_taken(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = itertools.chain([0.0, 0.0, 1.0], itertools.repeat(1.0))  # LightGBM's trees are as fast as can be
    monkeypatch.setattr("spark_infer.models.accelerate.lightgbm.perf_counter", lambda: next(times))
    spec, folder = SAVED[kind](tmp_path)
    model: Any = load(spec, folder)
    plain = load(replace(spec, accelerate=False), folder)
    assert type(plain) is kind
    many = pa.concat_batches([BATCH] * 3)
    for batch in (BATCH.slice(0, 100), many, BATCH):
        assert same_bits(model.predict(batch), plain.predict(batch))
    assert model.difference is None
    assert "column" in model.acceleration or "trees" in model.acceleration
    make_otherwise(model)  # which nobody compares any more: the library is not asked
    assert same_bits(model.predict(many), plain.predict(many))


def test_a_fast_way_that_answers_otherwise_is_turned_off_and_reported(
    kind: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec, folder = SAVED[kind](tmp_path)
    model: Any = load(spec, folder)
    make_otherwise(model)
    many = pa.concat_batches([BATCH] * 3)
    found = model.predict(many)
    assert "answers to 512 rows were not those of the model" in model.difference
    assert model.acceleration.startswith("off, since its answers")
    assert "Acceleration is turned off" in caplog.text
    assert same_bits(found, model._plain.predict(many))


def test_rows_are_compared_until_there_were_enough(tmp_path: Path) -> None:
    spec, folder = saved_pipeline(tmp_path)
    model: Any = load(spec, folder)
    model.predict(BATCH.slice(0, COMPARED_ROWS - 1))
    make_otherwise(model)
    model.predict(BATCH)
    assert "answers to 1 rows" in model.difference


def test_a_fast_way_that_raises_where_the_model_answers_is_turned_off(tmp_path: Path) -> None:
    spec, folder = saved_pipeline(tmp_path)
    model: Any = load(spec, folder)
    model.predict(BATCH)
    fewer = BATCH.drop_columns(["d"])
    with pytest.raises(ValueError, match="4 features"):
        model.predict(fewer)  # the model itself says what is wrong
    assert model.difference is None
    model.framework_model.steps = [("all", LogisticRegression().fit(ROWS.iloc[:, :3], LABEL))]
    expected = model.framework_model.predict_proba(ROWS.iloc[:, :3])
    np.testing.assert_allclose(model.predict(fewer)["probability_1"], expected[:, 1])
    assert "it raised ValueError" in str(model.difference)


def test_values_that_the_steps_refuse_are_refused_in_their_words(tmp_path: Path) -> None:
    spec, folder = saved_pipeline(tmp_path)
    rows = ROWS.copy()
    rows.iloc[3, 2] = np.inf
    words: list[str] = []
    for accelerate in (True, False):
        model: Any = load(replace(spec, accelerate=accelerate), folder)
        model.predict(BATCH)
        with pytest.raises(ValueError, match="Input X contains infinity") as caught:
            model.predict(arrow(rows))
        words.append(str(caught.value))
    assert words[0] == words[1]


def test_other_versions_of_a_library_are_not_accelerated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, folder = saved_pipeline(tmp_path)
    monkeypatch.setattr(of_sklearn, "CHECKED", ">=0.20,<1.0")
    model: Any = load(spec, folder)
    assert "is installed and it was checked with >=0.20,<1.0" in model.acceleration
    assert same_bits(model.predict(BATCH), load(replace(spec, accelerate=False), folder).predict(BATCH))


def test_a_library_with_other_insides_loads_without_acceleration(tmp_path: Path) -> None:
    spec, folder = saved_pipeline(tmp_path)
    pipeline: Any = pickle.loads((folder / "model.pkl").read_bytes())
    pipeline.steps[0] = (*pipeline.steps[0], "as no version has it")
    (folder / "model.pkl").write_bytes(pickle.dumps(pipeline))
    model: Any = load(spec, folder)
    assert model.acceleration == "off, since looking for it raised ValueError"


def test_a_version_is_compared_as_a_version() -> None:
    assert unchecked("numpy", ">=1,<100") is None
    assert "numpy" in str(unchecked("numpy", "<1.0"))
    assert "not known" in str(unchecked("no-such-library", ">=1"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.array([0.0, np.nan]), np.array([0.0, np.nan]), True),
        (np.array([0.0]), np.array([-0.0]), False),
        (np.array([1.0]), np.array([1], np.float32), False),
        (np.array([[1.0, 2.0]]), np.array([1.0, 2.0]), False),
        (np.array(["a", None], object), np.array(["a", None], object), True),
        (np.array(["a"], object), np.array(["b"], object), False),
        ([np.zeros(2), np.ones(3)], [np.zeros(2), np.ones(3)], True),
        ([np.zeros(2)], [np.zeros(2), np.ones(3)], False),
        ({"p": np.ones(1)}, {"q": np.ones(1)}, False),
    ],
)
def test_answers_are_compared_bit_for_bit(one: Any, other: Any, same: bool) -> None:
    assert same_bits(one, other) is same
