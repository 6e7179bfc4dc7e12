"""The whole way: convert, guard, compare, and find the compiled model again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from onnx import numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, Normalizer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from spark_infer.errors import InputValueError, ModelRefusedError
from spark_infer.models.backends.choose_backend import Choice
from spark_infer.models.backends.compiled import GRAPH
from spark_infer.models.compile.estimators import _key
from spark_infer.models.compile.gate import runs_on_gpu
from tests.unit.models.compile.scoring import Scoring, batch_of, save, scoring_of

pytestmark = pytest.mark.filterwarnings("ignore")

CANCER = load_breast_cancer(as_frame=True)
STEP = pd.DataFrame({"x": np.arange(100.0)})


def people(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "city": rng.choice(["Oslo", "Rome", "Lima"], rows).astype(object),
            "income": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(3e4, 1e4, rows)),
            "children": rng.integers(0, 5, rows),
        }
    )


def by_name(**encoder: Any) -> Pipeline:
    encode = ColumnTransformer(
        [
            ("city", OneHotEncoder(**encoder), ["city"]),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["income", "children"]),
        ]
    )
    return Pipeline([("encode", encode), ("model", LogisticRegression())])


def scoring(model: Any, X: pd.DataFrame, y: Any, tmp_path: Path, **options: Any) -> Scoring:
    saved = save(model.fit(X, y), X, tmp_path / "model")
    return scoring_of(saved, batch_of(X).schema, tmp_path / "store", **options)


def one_step(tmp_path: Path) -> Scoring:
    """A tree with the one question whether x is at most 49.5."""
    return scoring(DecisionTreeRegressor(max_depth=1), STEP, (STEP.x >= 50) * 10.0, tmp_path)


def moved(graph: Path, to: float) -> None:
    """Move the one threshold of a graph."""
    model = onnx.load(graph)
    (trees,) = [node for node in model.graph.node if node.op_type == "TreeEnsemble"]
    (splits,) = [attribute for attribute in trees.attribute if attribute.name == "nodes_splits"]
    splits.t.CopyFrom(numpy_helper.from_array(np.array([to])))
    onnx.save(model, graph)


def test_a_pipeline_with_texts_and_missing_values_scores_the_table_alike(tmp_path: Path) -> None:
    X = people()
    held = scoring(by_name(handle_unknown="ignore"), X, X.children > 2, tmp_path)
    recipe = held.compiled(batch_of(X))
    assert recipe.choice.backend == "compiled"
    assert recipe.parity is not None
    assert (recipe.parity.rows, recipe.parity.original) == (400, "sklearn")
    unseen = batch_of(X.assign(city=np.where(X.index % 2, "Paris", X.city)))
    assert held.scored(recipe, unseen).equals(held.scored(held.recipe, unseen))


@pytest.mark.parametrize("method", ["predict", "predict_proba", ("predict", "predict_proba")])
@pytest.mark.parametrize("kind", [lightgbm.LGBMClassifier, xgboost.XGBClassifier, LogisticRegression])
def test_every_method_has_the_columns_of_the_original(kind: Any, method: Any, tmp_path: Path) -> None:
    X = CANCER.data.iloc[:, :8]
    held = scoring(kind(), X, CANCER.target, tmp_path, predict_method=method)
    rows = batch_of(X)
    recipe = held.compiled(rows)
    found, wanted = held.scored(recipe, rows), held.scored(held.recipe, rows)
    assert found.schema == wanted.schema
    for name in wanted.column_names:
        np.testing.assert_allclose(found.column(name).to_numpy(), wanted.column(name).to_numpy(), rtol=0, atol=1e-6)


def test_labels_that_are_words_stay_words(tmp_path: Path) -> None:
    iris = load_iris(as_frame=True)
    words = iris.target.map(dict(enumerate(iris.target_names)))
    held = scoring(lightgbm.LGBMClassifier(n_estimators=5, verbosity=-1), iris.data, words, tmp_path)
    recipe = held.compiled(batch_of(iris.data))
    found = held.scored(recipe, batch_of(iris.data))
    assert found.schema.types == [pa.string()]
    assert found.equals(held.scored(held.recipe, batch_of(iris.data)))


def test_trees_and_eight_bits_have_no_use_for_a_gpu() -> None:
    flavors, kinds = ("sklearn", "sentence_transformers"), ("onnx", "int8", "bfloat16", "float16")
    used = {name: [to for to in kinds if runs_on_gpu(Choice(backend=name, reason=""), to)] for name in flavors}
    assert used["sklearn"] == []
    assert used["sentence_transformers"] == ["onnx", "bfloat16", "float16"]


def test_a_wrong_conversion_is_refused_with_the_index_of_the_row_and_no_value(tmp_path: Path) -> None:
    held, rows = one_step(tmp_path), batch_of(STEP)
    recipe = held.compiled(rows)
    assert recipe.load.artefact is not None
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for file in held.store.path(recipe.load.artefact.digest).iterdir():
        (wrong / file.name).write_bytes(file.read_bytes())
    moved(wrong / GRAPH, 50.5)  # so that 50, in row 50, goes the other way
    note = held.store.root / "models" / "derived" / _key(held.recipe)
    note.write_text(held.store.admit(wrong))
    with pytest.raises(ModelRefusedError) as refused:
        held.compiled(rows)
    told = str(refused.value)
    assert "output 'prediction' differs by 1 in row 50 of the 100 rows compared" in told
    assert "row 50 of the table" in told
    assert "49.5" not in told


def test_a_model_that_was_compiled_before_is_found_and_not_converted_again(tmp_path: Path) -> None:
    held, rows = one_step(tmp_path), batch_of(STEP)
    first = held.compiled(rows).load.artefact
    assert first is not None
    # A note that leads elsewhere is followed: what it names is served, and nothing is made again.
    other = tmp_path / "other"
    other.mkdir()
    for file in held.store.path(first.digest).iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    moved(other / GRAPH, 49.25)  # between the same rows
    digest = held.store.admit(other)
    assert digest != first.digest
    (held.store.root / "models" / "derived" / _key(held.recipe)).write_text(digest)
    found = held.compiled(rows).load.artefact
    assert found is not None
    assert found.digest == digest


def test_an_entry_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    held, rows = one_step(tmp_path), batch_of(STEP)
    first = held.compiled(rows).load.artefact
    assert first is not None
    (held.store.path(first.digest) / GRAPH).unlink()
    again = held.compiled(rows).load.artefact
    assert again == first
    assert (held.store.path(first.digest) / GRAPH).is_file()


def test_a_tighter_bound_than_float32_sums_is_refused_and_the_worst_row_is_named(tmp_path: Path) -> None:
    X = CANCER.data
    held = scoring(xgboost.XGBRegressor(), X.iloc[:, 1:], X.iloc[:, 0], tmp_path, compile={"bound": 0})
    with pytest.raises(ModelRefusedError, match=r"differs by \d\S* in row \d+ of the 569 rows compared"):
        held.compiled(batch_of(X.iloc[:, 1:]))


def test_what_postprocess_makes_of_the_answers_is_compared_too(tmp_path: Path) -> None:
    X = CANCER.data.iloc[:, 1:]
    model = xgboost.XGBRegressor(n_estimators=20).fit(X, CANCER.data.iloc[:, 0])
    saved = save(model, X, tmp_path / "model")
    plain = scoring_of(saved, batch_of(X).schema, tmp_path / "store")
    rows = batch_of(X)
    ours, theirs = (plain.scored(recipe, rows).column(0).to_numpy() for recipe in (plain.compiled(rows), plain.recipe))
    row = int(np.flatnonzero(ours != theirs)[0])
    # A threshold between the two answers of one row makes two labels of a difference that the bound allows.
    limit = float(max(ours[row], theirs[row]))
    held = scoring_of(
        saved,
        rows.schema,
        tmp_path / "store",
        postprocess={"threshold": {"column": "prediction", "at": limit, "output": "large"}},
    )
    with pytest.raises(ModelRefusedError, match="after postprocess, does not answer as the original"):
        held.compiled(rows)


def test_a_value_that_the_original_refuses_is_refused_by_the_compiled_model_too(tmp_path: Path) -> None:
    X = CANCER.data.iloc[:, :4]
    held = scoring(make_pipeline(StandardScaler(), LogisticRegression()), X, CANCER.target, tmp_path)
    recipe = held.compiled(batch_of(X))
    for bad, what in ((np.nan, "a missing value"), (np.inf, "an infinite value")):
        with pytest.raises(InputValueError, match=f"'mean area' holds {what}"):
            held.scored(recipe, batch_of(X.assign(**{"mean area": bad})))
    with pytest.raises(Exception, match="raised on a batch"):
        held.scored(held.recipe, batch_of(X.assign(**{"mean area": np.nan})))


def test_a_missing_text_is_refused_in_a_batch(tmp_path: Path) -> None:
    X = people()
    held = scoring(by_name(handle_unknown="ignore"), X, X.children > 2, tmp_path)
    recipe = held.compiled(batch_of(X))
    with pytest.raises(InputValueError, match=r"'city' holds 400 missing text\(s\)"):
        held.scored(recipe, batch_of(X.assign(city=pd.Series([None] * 400, dtype="string"))))


def test_an_encoder_that_refuses_unknown_words_is_not_compiled(tmp_path: Path) -> None:
    X = people()
    held = scoring(by_name(), X, X.children > 2, tmp_path)
    with pytest.raises(ModelRefusedError, match="refuses values that it did not see in training") as refused:
        held.compiled(batch_of(X))
    assert refused.value.details == ("column(s) ['city']",)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()), "converter of Pipeline failed"),
        (HistGradientBoostingRegressor(categorical_features=[0]), "splits on categories"),
        (make_pipeline(Binarizer(threshold=0.1), LogisticRegression()), "Binarizer rounds its threshold"),
        (make_pipeline(Normalizer(), LogisticRegression()), "Normalizer divides by zero"),
        (
            make_pipeline(
                ColumnTransformer([("code", OneHotEncoder(handle_unknown="ignore"), ["code"])]), LogisticRegression()
            ),
            "OneHotEncoder compares categories by their whole part",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused_with_the_next_step(model: Any, reason: str, tmp_path: Path) -> None:
    X = pd.DataFrame({"code": np.arange(300) % 4 * 1.0, "y": np.arange(300.0)})
    held = scoring(model, X, X.code > 1, tmp_path)
    with pytest.raises(ModelRefusedError, match=reason) as refused:
        held.compiled(batch_of(X))
    assert "leave `compile` out" in refused.value.next_step


def test_a_method_without_a_graph_is_refused(tmp_path: Path) -> None:
    held = scoring(LogisticRegression(), CANCER.data, CANCER.target, tmp_path, predict_method="decision_function")
    with pytest.raises(ModelRefusedError, match="cannot be compiled") as refused:
        held.compiled(batch_of(CANCER.data))
    assert "predict_proba" in refused.value.details[0]


def test_a_model_that_pyfunc_serves_is_refused_before_any_row_is_read(tmp_path: Path) -> None:
    held = scoring(LogisticRegression(), CANCER.data, CANCER.target, tmp_path, backend="pyfunc")
    with pytest.raises(ModelRefusedError, match="served by 'pyfunc'"):
        held.compiled(batch_of(CANCER.data))


def test_a_table_without_rows_is_served_by_the_original(tmp_path: Path) -> None:
    held = one_step(tmp_path)
    recipe = held.compiled(batch_of(STEP.iloc[:0]))
    assert (recipe.load, recipe.parity) == (held.recipe.load, None)
    assert recipe.choice.reason.endswith("not compiled, since the table has no rows to compare")


def test_the_compiled_model_needs_its_two_files_alone(tmp_path: Path) -> None:
    held, rows = one_step(tmp_path), batch_of(STEP)
    artefact = held.compiled(rows).load.artefact
    assert artefact is not None
    folder = held.store.path(artefact.digest)
    assert sorted(file.name for file in folder.iterdir()) == ["compiled.json", "model.onnx"]
    assert artefact.size_bytes == sum(file.stat().st_size for file in folder.iterdir())
    assert json.loads((folder / "compiled.json").read_text())["outputs"] == [
        {"port": "values", "names": None, "dtype": "float64", "flat": True}
    ]
