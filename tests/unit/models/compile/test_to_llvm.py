"""LightGBM's trees as machine code: on the data, at every threshold, one float beside it, and without values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from lleaves import Model

from spark_infer.errors import ModelLoadError, ModelRefusedError
from spark_infer.models.backends import compiled_trees
from spark_infer.models.backends.compiled_trees import TreeFacts, Trees
from spark_infer.models.compile.to_llvm import convert
from tests.unit.models.compile.scoring import batch_of, save, scoring_of
from tests.unit.models.compile.test_trees import (
    CANCER,
    CLASSIFIERS,
    IS_BENIGN,
    PEOPLE,
    PROGRESS,
    QUIET,
    REGRESSORS,
    Matrix,
    hard_rows,
)

pytestmark = pytest.mark.filterwarnings("ignore")

OF_LIGHTGBM = {
    name: case
    for name, case in (CLASSIFIERS | REGRESSORS).items()
    if name.startswith("lightgbm") and "one against the rest" not in name
}


def answers(model: Any, methods: list[str], rows: Matrix, folder: Path, threads: int = 1) -> list[Matrix]:
    ports = convert(model, methods, folder)
    trees = Model(model_file=str(folder / compiled_trees.MODEL))
    trees.compile(cache=str(folder / compiled_trees.CODE))
    return Trees(trees, TreeFacts.read(folder), threads).run(ports, {"X": rows})


@pytest.mark.parametrize("name", OF_LIGHTGBM)
def test_it_answers_as_lightgbm_does(name: str, tmp_path: Path) -> None:
    model, X, y = OF_LIGHTGBM[name]
    model.fit(X, y)
    rows = hard_rows(model, X)
    if name not in CLASSIFIERS:
        (found,) = answers(model, ["predict"], rows, tmp_path, threads=3)
        np.testing.assert_allclose(found, model.predict(rows), rtol=1e-13, atol=1e-12)
        return
    labels, probabilities = answers(model, ["predict", "predict_proba"], rows, tmp_path)
    assert labels.tolist() == model.predict(rows).tolist()
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), rtol=0, atol=1e-14)


def test_rows_fewer_than_threads_and_none(tmp_path: Path) -> None:
    model = lightgbm.LGBMRegressor(**QUIET).fit(PEOPLE, PROGRESS)
    for count in (0, 1, 2, 3):
        (found,) = answers(model, ["predict"], PEOPLE[:count], tmp_path, threads=3)
        np.testing.assert_allclose(found, model.predict(PEOPLE)[:count], rtol=1e-13)


def test_only_the_trees_up_to_the_best_iteration_count(tmp_path: Path) -> None:
    half, how = len(CANCER) // 2, QUIET | {"n_estimators": 200, "learning_rate": 0.5}
    held_out: Any = [(CANCER[half:], np.random.default_rng(0).permutation(IS_BENIGN[half:]))]
    model = lightgbm.LGBMClassifier(**how).fit(
        CANCER[:half], IS_BENIGN[:half], eval_set=held_out, callbacks=[lightgbm.early_stopping(2, verbose=False)]
    )
    (found,) = answers(model, ["predict_proba"], CANCER, tmp_path)
    assert Model(model_file=str(tmp_path / compiled_trees.MODEL)).num_trees() < 50
    np.testing.assert_allclose(found, model.predict_proba(CANCER), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"linear_tree": True}, "linear models"),
        ({"zero_as_missing": True}, "zeros for missing values"),
        ({"categorical_feature": [1]}, "categories"),
        ({"objective": "multiclassova", "num_class": 3}, "lleaves does not take its trees"),
    ],
)
def test_what_it_would_answer_otherwise_is_refused(how: dict[str, Any], reason: str, tmp_path: Path) -> None:
    X = PEOPLE.copy()
    X[:, 1] = (X[:, 1] > 0) + 0.0
    kind = lightgbm.LGBMClassifier if "num_class" in how else lightgbm.LGBMRegressor
    fit = {name: value for name, value in how.items() if name == "categorical_feature"}
    settings = {name: value for name, value in how.items() if name not in fit}
    y = np.digitize(PROGRESS, [100, 200]) if "num_class" in how else PROGRESS
    model = kind(**QUIET, **settings, min_data_per_group=1, cat_smooth=0.0).fit(X, y, **fit)
    with pytest.raises(ModelRefusedError, match=reason):
        convert(model, ["predict"], tmp_path)


def test_a_table_is_scored_by_code_that_is_made_once(tmp_path: Path) -> None:
    rows = pd.DataFrame(CANCER[:, :5], columns=list("abcde"))
    model = lightgbm.LGBMClassifier(**QUIET).fit(rows, np.where(IS_BENIGN, "benign", "not"))
    batch = batch_of(rows)
    held = scoring_of(save(model, rows, tmp_path / "model"), batch.schema, tmp_path / "store", compile="llvm")
    recipe = held.compiled(batch)
    assert recipe.load.backend == "compiled_trees"
    assert str(recipe.parity).startswith("to llvm, from lightgbm: 569 rows compared, labels equal")
    assert held.scored(recipe, batch).column("prediction").to_pylist() == list(model.predict(rows))
    code = held.store.path(recipe.load.files(recipe.ref.digest)) / compiled_trees.CODE
    made = code.stat().st_mtime_ns
    assert held.compiled(batch).load.artefact == recipe.load.artefact
    assert code.stat().st_mtime_ns == made


def test_code_for_another_processor_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pd.DataFrame(PEOPLE[:, :3], columns=list("abc"))
    model = lightgbm.LGBMRegressor(**QUIET).fit(rows, PROGRESS)
    batch = batch_of(rows)
    held = scoring_of(save(model, rows, tmp_path / "model"), batch.schema, tmp_path / "store", compile="llvm")
    recipe = held.compiled(batch)
    folder = held.store.path(recipe.load.files(recipe.ref.digest))
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ModelLoadError, match=r"was compiled for .*, and this worker has riscv64"):
        compiled_trees.load(recipe.load, folder)
    # The driver of such a machine makes code of its own.
    assert held.compiled(batch).load.artefact != recipe.load.artefact
