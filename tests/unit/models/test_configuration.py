"""A model's own configuration and its environment variables: `model_config` and `extra_env`."""

from __future__ import annotations

import datetime
import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from spark_infer.config import ScoreOptions
from spark_infer.config.validate_options import validated
from spark_infer.core.stats import Stats
from spark_infer.errors import ConfigError, ModelLoadError, ModelRefusedError
from spark_infer.models.backends import load
from spark_infer.models.backends.choose_backend import choose
from spark_infer.models.configuration import read_configuration
from spark_infer.models.files.store import ModelStore
from spark_infer.models.mlmodel import MLModel
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.unloadable import refused_load
from spark_infer.models.worker import load_model, score_table_batches
from spark_infer.runtime.assignment import Assignment

pytestmark = pytest.mark.filterwarnings("ignore")

NAME, SECRET = "SPARK_INFER_TEST_WORD", "hunter2-and-more"
ROWS = pa.record_batch({"x": [1.0, 2.0]})


class Says(PythonModel):
    """Says how it was configured, and what its environment was when it was loaded and is now."""

    def load_context(self, context: PythonModelContext) -> None:
        self.loaded_with = os.environ.get(NAME)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> list[str]:
        said = f"{context.model_config} {self.loaded_with} {os.environ.get(NAME)}"
        return [said] * len(model_input)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("says") / "model"
    example = pd.DataFrame({"x": [1.0]})
    mlflow.pyfunc.save_model(
        folder,
        python_model=Says(),
        signature=infer_signature(example, ["text"]),
        model_config={"alpha": 1, "beta": {"depth": 2}},
        pip_requirements=["pandas"],
    )
    return str(folder)


def recipe_of(model: str, store: ModelStore, **options: Any) -> Recipe:
    ref = resolve(model, store=store)

    def load(spec: Any) -> Any:
        return load_model(spec, ref, lambda: store.path(ref.digest), Stats(), cache_bytes=2**30)

    given = validated(ScoreOptions, options)
    return make_recipe(ref, ROWS.schema, given, folder=store.path(ref.digest), load_model=load, keep=())


def answer(recipe: Recipe, store: ModelStore, stats: Stats | None = None) -> Any:
    """The answer for the first row, and that of both is the same."""
    batches = score_table_batches(recipe, lambda: store.path(recipe.ref.digest), [ROWS], Assignment(), stats=stats)
    first, second = pa.Table.from_batches(batches)["prediction"].to_pylist()
    assert first == second
    return first


def test_each_configuration_and_environment_has_a_model_of_its_own(model: str, store: ModelStore) -> None:
    """They stay loaded side by side in one process, which has none of the variables afterwards."""
    kinds: list[Mapping[str, Any]] = [
        {},
        {"model_config": {"alpha": 7}},
        {"model_config": {"alpha": 8}},
        {"extra_env": {NAME: "a"}},
        {"extra_env": {NAME: "b"}},
        {"extra_env": {NAME: "b"}, "model_config": {"alpha": 7}},
    ]
    recipes = [recipe_of(model, store, **kind) for kind in kinds]
    stats = Stats()
    said = [answer(recipe, store, stats) for recipe in recipes * 2]
    assert (
        said[:6]
        == said[6:]
        == [
            "{'alpha': 1, 'beta': {'depth': 2}} None None",
            "{'alpha': 7, 'beta': {'depth': 2}} None None",
            "{'alpha': 8, 'beta': {'depth': 2}} None None",
            "{'alpha': 1, 'beta': {'depth': 2}} a a",
            "{'alpha': 1, 'beta': {'depth': 2}} b b",
            "{'alpha': 7, 'beta': {'depth': 2}} b b",
        ]
    )
    assert (stats.loads, stats.cache_hits) == (6, 6)
    assert NAME not in os.environ


def test_configurations_that_differ_in_order_or_type_have_models_of_their_own(model: str, store: ModelStore) -> None:
    nested: list[Any] = [
        *({"x": 1, "y": 2}, {"y": 2, "x": 1}),
        *({1: "a"}, {"1": "a"}, {1: "a", "x": 2}, {True: "a"}),
        *((1,), [1], [1.0], [True], ["1"]),
    ]
    for beta in nested:
        assert (
            answer(recipe_of(model, store, model_config={"beta": beta}), store)
            == str({"alpha": 1, "beta": beta}) + " None None"
        )


def test_variables_that_the_process_has_are_as_they_were(
    model: str, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "of the process")
    assert answer(recipe_of(model, store, extra_env={NAME: "mine"}), store).endswith("mine mine")
    assert os.environ[NAME] == "of the process"


def test_the_configuration_of_mlflow_is_the_same(model: str, store: ModelStore) -> None:
    config = {"alpha": "other", "beta": None}
    theirs = mlflow.pyfunc.load_model(model, model_config=config).predict(pd.DataFrame({"x": [1.0]}))
    assert answer(recipe_of(model, store, model_config=config), store) == theirs[0]


def test_keys_that_the_model_was_not_logged_with_are_named_and_change_nothing(model: str, store: ModelStore) -> None:
    recipe = recipe_of(model, store, model_config={"alpha": 7, "gamma": SECRET})
    assert answer(recipe, store) == "{'alpha': 7, 'beta': {'depth': 2}} None None"
    (warning,) = recipe.warnings()
    assert warning == ("model_config: the model does not take gamma, which changes nothing (it takes alpha, beta)")


def test_a_file_of_configuration_is_read_where_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("alpha: 7\nbeta: {depth: 3}\n")
    assert read_configuration(path) == read_configuration(str(path)) == {"alpha": 7, "beta": {"depth": 3}}
    path.write_text("")
    assert read_configuration(path) == {}
    for text, problem in (("- 1\n", "holds no mapping"), ("a: [\n", "is not YAML"), (None, "No such file")):
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        with pytest.raises(ConfigError, match=problem):
            read_configuration(path)
    for text in ("d: 2024-99-99", "!!int abc", "a: !!bool abc", "a: !!float x", "a: !!timestamp x", "[" * 9999):
        path.write_text(text)
        with pytest.raises(ConfigError, match="holds a value that is not of its type"):
            read_configuration(path)
    for name in ("a\0b", "a\ud800"):
        with pytest.raises(ConfigError, match="no file can have this name"):
            read_configuration(name)
    with pytest.raises(ConfigError, match="model_config is int"):
        read_configuration(7)  # type: ignore[arg-type]  # what a caller may do


def test_an_environment_is_shown_nowhere(model: str, store: ModelStore) -> None:
    recipe = recipe_of(model, store, extra_env={NAME: SECRET})
    configured = recipe_of(model, store, model_config={"alpha": {"api_key": SECRET}})
    assert SECRET in str(configured.load.config)
    assert SECRET not in repr(configured) + str(configured)
    assert SECRET in str(recipe.load.extra_env)
    for shown in (recipe, recipe.options, recipe.load, recipe.load.key(recipe.ref.digest), recipe.warnings()):
        assert SECRET not in repr(shown) + str(shown)


class Fails(PythonModel):
    """Raises with what it reads in its environment, in its own code or in a library's."""

    def load_context(self, context: PythonModelContext) -> None:
        word = os.environ.get(NAME, "")
        if word.startswith("in json"):
            json.loads(f"{word}")
        if word.startswith("module"):
            raise RuntimeError(word) from ModuleNotFoundError(word, name="gonelib.part")
        if word:
            raise ValueError(word)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None) -> list[str]:
        return ["a"] * len(model_input)


def test_a_model_that_does_not_load_is_refused_without_what_its_code_says(tmp_path: Path, store: ModelStore) -> None:
    signature = infer_signature(pd.DataFrame({"x": [1.0]}), ["text"])
    mlflow.pyfunc.save_model(tmp_path / "m", python_model=Fails(), signature=signature, pip_requirements=["pandas"])
    kinds = [("", "ValueError"), ("in json", "JSONDecodeError"), ("module", "RuntimeError")]
    for show_values in (False, True):
        for word, kind in kinds:
            recipe = recipe_of(str(tmp_path / "m"), store, extra_env={NAME: f"{word} {SECRET}".strip()})
            spec = replace(recipe.load, show_values=show_values)
            with pytest.raises(ModelLoadError, match=f"does not load with backend 'pyfunc': {kind}") as failed:
                load(spec, tmp_path / "m")
            refused = refused_load(failed.value, recipe.ref, "pyfunc", tmp_path / "m")
            text = "".join(traceback.format_exception(failed.value)) + str(refused) + repr(refused)
            assert (SECRET in text) is (show_values and word != "in json")
            place = failed.value.details[0]
            assert (f"{__file__}:" in place, " in load_context" in place) == (True, True)
            assert ("gonelib is not installed" in str(refused)) is (word == "module")
            if word == "module" and not show_values:
                assert failed.value.details[1] == "No module named 'gonelib'"
            elif not show_values:
                assert "SPARK_INFER_SHOW_VALUES=1" in failed.value.details[1]


@pytest.mark.parametrize(
    "given",
    [
        {"": SECRET},
        {"A=B": SECRET},
        {"A": f"{SECRET}\0"},
        {"A": f"{SECRET}\ud800"},
        {"A": 1},
        {"A": None},
        {1: SECRET},
        [SECRET],
        SECRET,
    ],
)
def test_variables_that_cannot_be_set_are_refused_without_their_values(given: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        validated(ScoreOptions, {"extra_env": given})
    assert SECRET not in str(refused.value)


def test_a_configuration_may_hold_values_of_numpy(model: str, store: ModelStore) -> None:
    given = {"alpha": np.int64(3), "beta": {"a": np.array([0.5, 1.0]), "b": (np.bool_(True), "x"), 1: np.str_("y")}}
    said = answer(recipe_of(model, store, model_config=given), store)
    assert said == "{'alpha': 3, 'beta': {'a': [0.5, 1.0], 'b': (True, 'x'), 1: 'y'}} None None"


def test_a_date_in_a_configuration_is_refused_with_what_to_write() -> None:
    with pytest.raises(ConfigError, match="holds a value of type date that JSON has no form for; write a date"):
        validated(ScoreOptions, {"model_config": {"a": {"b": datetime.date(2024, 1, 31)}}})


def test_a_configuration_that_holds_itself_is_refused() -> None:
    given: dict[str, Any] = {"a": {}}
    given["a"]["a"] = given
    with pytest.raises(ConfigError, match="model_config: is nested deeper than 100 levels"):
        validated(ScoreOptions, {"model_config": given})


@pytest.mark.parametrize("given", [{"a": object()}, {"a": {1, 2}}, [1], "text"])
def test_a_configuration_that_json_cannot_hold_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="model_config"):
        validated(ScoreOptions, {"model_config": given})


def test_a_native_backend_has_the_variables_and_leaves_configurations_to_pyfunc(
    tmp_path: Path, store: ModelStore
) -> None:
    def add(values: Any) -> Any:
        return values + float(os.environ.get("SPARK_INFER_TEST_ADD", "0"))

    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    pipeline = make_pipeline(FunctionTransformer(add), LinearRegression()).fit(frame, frame.x)
    signature = infer_signature(frame, pipeline.predict(frame))
    mlflow.sklearn.save_model(
        pipeline, tmp_path / "m", serialization_format="cloudpickle", signature=signature, pip_requirements=[]
    )
    recipe = recipe_of(str(tmp_path / "m"), store, extra_env={"SPARK_INFER_TEST_ADD": "10"})
    assert recipe.choice.backend == "sklearn"
    batches = score_table_batches(recipe, lambda: store.path(recipe.ref.digest), [ROWS], Assignment())
    assert np.allclose(pa.Table.from_batches(batches)["prediction"], [11.0, 12.0])
    configured = recipe_of(str(tmp_path / "m"), store, model_config={"alpha": 7})
    assert (configured.choice.backend, configured.choice.reason) == ("pyfunc", "a model_config goes through pyfunc")
    assert "it was logged without one" in configured.warnings()[0]
    with pytest.raises(ModelRefusedError, match="backend 'sklearn' cannot serve this model: a model_config goes"):
        recipe_of(str(tmp_path / "m"), store, model_config={"alpha": 7}, backend="sklearn")


@pytest.mark.parametrize("given", [{"model_config": {"a": 1}}, {"extra_env": {NAME: "a"}}])
def test_a_spark_ml_pipeline_takes_neither(given: Any, tmp_path: Path) -> None:
    mlmodel = MLModel(flavors={"python_function": {"loader_module": "mlflow.spark"}, "spark": {}})
    with pytest.raises(ModelRefusedError, match="takes no model_config and no extra_env"):
        choose(mlmodel, validated(ScoreOptions, given), tmp_path)
