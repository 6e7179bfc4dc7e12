"""A plain Python function or class gets the batches that it asks for, and what it returns is read."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from spark_infer.config import ScoreOptions
from spark_infer.core.outputs import to_batch
from spark_infer.engines.local.ddl import parse_ddl
from spark_infer.errors import ConfigError, ModelLoadError, ModelRefusedError
from spark_infer.models.backends import load
from spark_infer.models.callables.callable_model import CallableModel
from spark_infer.models.callables.pin import pin_callable
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.rehearsal import rehearse
from spark_infer.models.unloadable import refused_load

TABLE = pa.record_batch({"a": pa.array([1, 2, 3]), "b": pa.array([0.5, None, 2.5]), "t": pa.array(["x", None, "z"])})


def pinned(model: CallableModel, store: ModelStore, **options: Any) -> tuple[ModelRef, Recipe]:
    asked = ScoreOptions.model_validate(options)
    ref = pin_callable(model, asked, store, parse_ddl)
    result = None if asked.result_type is None else parse_ddl(asked.result_type)
    folder = store.path(ref.digest)
    recipe = make_recipe(
        ref, TABLE.schema, asked, folder=folder, load_model=lambda spec: load(spec, folder), result_schema=result
    )
    return ref, recipe


def answer(model: CallableModel, store: ModelStore, **options: Any) -> pa.RecordBatch:
    ref, recipe = pinned(model, store, **options)
    loaded = load(recipe.load, store.path(ref.digest))
    inputs = TABLE.select(list(recipe.load.binding.sources))
    return to_batch(loaded.predict(inputs), recipe.raw_outputs, TABLE.num_rows)


def test_a_batch_is_a_dict_of_arrays_that_may_be_changed(store: ModelStore) -> None:
    def predict(batch: dict[str, Any]) -> Any:
        batch["a"] += 1
        return [f"{a} {b} {t}" for a, b, t in zip(batch["a"], batch["b"], batch["t"], strict=True)]

    found = answer(CallableModel(predict), store, inputs=["a", "b", "t"], result_type="string")
    assert found.to_pydict() == {"prediction": ["2 0.5 x", "3 nan None", "4 2.5 z"]}
    assert TABLE.column("a").to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("returned", "wanted"),
    [
        (lambda batch: batch["a"] * 2, [2, 4, 6]),
        (lambda batch: [2, 4, 6], [2, 4, 6]),
        (lambda batch: {"prediction": np.array([2, 4, 6])}, [2, 4, 6]),
        (lambda batch: pa.array([2, None, 6]), [2, None, 6]),
        (lambda batch: pa.record_batch({"prediction": [2, 4, 6]}), [2, 4, 6]),
        (lambda batch: pa.table({"prediction": [2, 4, 6]}), [2, 4, 6]),
        (lambda batch: pd.DataFrame({"prediction": [2, 4, 6]}), [2, 4, 6]),
        (lambda batch: pd.Series([2, 4, 6]), [2, 4, 6]),
    ],
)
def test_what_holds_a_value_for_each_row_may_be_returned(
    returned: Callable[..., Any], wanted: list[int | None], store: ModelStore
) -> None:
    found = answer(CallableModel(returned), store, inputs="a long", result_type="long")
    assert found.to_pydict() == {"prediction": wanted}


def arrow(batch: pa.RecordBatch) -> Any:
    """Ask for Arrow."""
    return [type(batch).__name__] * batch.num_rows


def frame(batch: pd.DataFrame) -> Any:
    """Ask for pandas."""
    return [type(batch).__name__] * len(batch)


def arrays(batch: Any) -> Any:
    """Ask for nothing."""
    return [type(batch).__name__] * len(batch["a"])


@pytest.mark.parametrize(
    ("predictor", "asked", "wanted"),
    [
        (arrow, "auto", "RecordBatch"),
        (frame, "auto", "DataFrame"),
        (arrays, "auto", "dict"),
        (arrays, "pandas", "DataFrame"),
        (arrow, "pyarrow", "RecordBatch"),
    ],
)
def test_the_annotation_or_the_option_chooses_the_form_of_a_batch(
    predictor: Callable[..., Any], asked: Any, wanted: str, store: ModelStore
) -> None:
    found = answer(CallableModel(predictor, batch_format=asked), store, inputs="a", result_type="string")
    assert found.to_pydict() == {"prediction": [wanted] * 3}


class Shifted:
    """Adds what it was made with, once it is set up."""

    def __init__(self, by: int) -> None:
        self.by = by
        self.setups = 0

    def setup(self) -> None:
        self.setups += 1

    def predict(self, batch: dict[str, Any], *, times: int = 1) -> Any:
        return (batch["a"] + self.by) * times * self.setups


def test_a_class_is_made_and_set_up_and_takes_parameters(store: ModelStore) -> None:
    made = CallableModel(Shifted, inputs="a", arguments={"by": 10})
    assert answer(made, store, result_type="long").to_pydict() == {"prediction": [11, 12, 13]}
    assert answer(made, store, result_type="long", params={"times": 2}).to_pydict() == {"prediction": [22, 24, 26]}
    held = CallableModel(Shifted(20), inputs="a")
    assert answer(held, store, result_type="long").to_pydict() == {"prediction": [21, 22, 23]}
    with pytest.raises(ConfigError, match="not a parameter of the model"):
        answer(made, store, result_type="long", params={"time": 2})


def test_all_that_is_said_of_a_model_is_part_of_its_version(store: ModelStore) -> None:
    models = [
        CallableModel(Shifted, inputs="a", arguments={"by": 1}),
        CallableModel(Shifted, inputs="a", arguments={"by": 2}),
        CallableModel(Shifted, inputs="a int", arguments={"by": 1}),
        CallableModel(Shifted, inputs="a", arguments={"by": 1}, batch_format="pandas"),
        CallableModel(Shifted(1), inputs="a"),
        CallableModel(Shifted(2), inputs="a"),
        CallableModel(arrays, inputs="a"),
    ]
    versions = [pin_callable(each, ScoreOptions(), store, parse_ddl).version for each in models]
    assert len(set(versions)) == len(models)
    assert versions == [pin_callable(each, ScoreOptions(), store, parse_ddl).version for each in models]


def test_options_of_mlflow_s_models_are_refused(store: ModelStore) -> None:
    for option in (
        {"backend": "pyfunc"},
        {"predict_method": "predict"},
        {"compile": "onnx"},
        {"model_config": {"a": 1}},
    ):
        with pytest.raises(ModelRefusedError, match=f"{next(iter(option))}: these are options of MLflow's models"):
            pinned(CallableModel(arrays), store, inputs="a", result_type="string", **option)


def test_arguments_are_for_classes(store: ModelStore) -> None:
    with pytest.raises(ConfigError, match="constructor of a class"):
        pinned(CallableModel(arrays, arguments={"a": 1}), store, inputs="a")
    with pytest.raises(ConfigError, match="not plain values"):
        pinned(CallableModel(Shifted, arguments={"by": object()}), store, inputs="a")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that can be imported."""
    (tmp_path / "halved.py").write_text("def predict(batch):\n    return batch['b'] / 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "halved.py"
    sys.modules.pop("halved", None)


def test_a_worker_with_another_source_than_the_driver_refuses_to_load(module: Path, store: ModelStore) -> None:
    ref, recipe = pinned(CallableModel("halved:predict"), store, inputs="b", result_type="double")
    assert str(ref).startswith("halved:predict version ")
    load(recipe.load, store.path(ref.digest))
    module.write_text(module.read_text() + "# changed\n")
    with pytest.raises(ModelLoadError, match="another than on the driver"):
        load(recipe.load, store.path(ref.digest))


OWN = """
import os
from functools import partial
class Halved:
    def predict(self, batch):
        return batch["b"] / 2
    @classmethod
    def of_class(cls, batch):
        return batch["b"] / 2
def predict(batch, by=2):
    return batch["b"] / by
"""


@pytest.mark.parametrize("where", ["", "site-packages"])
@pytest.mark.parametrize(
    "made", ["own.Halved()", "own.Halved().predict", "own.Halved.of_class", "partial(own.predict, by=3)"]
)
def test_an_object_of_a_module_has_another_version_with_another_source(
    made: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: ModelStore
) -> None:
    path = tmp_path / where / "owned.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(OWN)
    monkeypatch.syspath_prepend(str(path.parent))
    own = importlib.import_module("owned")
    try:
        model = CallableModel(eval(made, {"own": own, "partial": partial}))
        ref, recipe = pinned(model, store, inputs="b", result_type="double")
        assert ref == pinned(model, store, inputs="b", result_type="double")[0]
        load(recipe.load, store.path(ref.digest))
        path.write_text(OWN.replace("/", "*"))
        assert pinned(model, store, inputs="b", result_type="double")[0].digest != ref.digest
        with pytest.raises(ModelLoadError, match="another than on the driver when the run was planned: owned"):
            load(recipe.load, store.path(ref.digest))
    finally:
        sys.modules.pop("owned")


def test_code_of_a_script_has_another_version_with_another_source_of_what_it_uses(
    module: Path, store: ModelStore
) -> None:
    import halved  # type: ignore[import-not-found]  # it exists while this test runs

    for text in ("halved.predict(batch)", "predict(batch)"):
        names: dict[str, Any] = {"__name__": "__main__", "halved": halved, "predict": halved.predict, "np": np}
        exec(f"def own(batch):\n    return np.abs({text})", names)
        before = pin_callable(CallableModel(names["own"]), ScoreOptions(), store, parse_ddl)
        assert before.mlmodel.code is not None
        assert before.mlmodel.code.modules == ("halved",)
        module.write_text(module.read_text() + "# changed\n")
        assert pin_callable(CallableModel(names["own"]), ScoreOptions(), store, parse_ddl).digest != before.digest


def test_a_module_that_travels_by_value_need_not_be_where_the_model_runs(module: Path, store: ModelStore) -> None:
    import halved

    module.write_text("class Halved:\n    def predict(self, batch):\n        return batch['b'] / 2\n")
    importlib.reload(halved)
    names: dict[str, Any] = {"__name__": "__main__", "halved": halved}
    exec("def own(batch):\n    return halved.Halved().predict(batch)", names)
    cloudpickle.register_pickle_by_value(halved)
    try:
        made = [
            pinned(CallableModel(each), store, inputs="b", result_type="double")
            for each in (halved.Halved(), names["own"])
        ]
    finally:
        cloudpickle.unregister_pickle_by_value(halved)
    module.unlink()
    sys.modules.pop("halved")
    for ref, recipe in made:
        load(recipe.load, store.path(ref.digest))


def test_a_function_of_a_module_is_imported_by_name(module: Path, store: ModelStore) -> None:
    import halved

    ref, _ = pinned(CallableModel(halved.predict), store, inputs="b", result_type="double")
    assert ref == pinned(CallableModel("halved:predict"), store, inputs="b", result_type="double")[0]
    assert not (store.path(ref.digest) / "callable.pkl").exists()


@pytest.mark.parametrize(
    "target",
    ["os:getcwd", "builtins:print", "subprocess:run", "python_s:os.system", "python_s:Path", "python_s:os.path.join"],
)
def test_what_is_python_s_own_is_no_model(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: ModelStore
) -> None:
    (tmp_path / "python_s.py").write_text("import os\nfrom pathlib import Path\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="a part of Python itself"):
        pinned(CallableModel(target), store, inputs="a")


class NoSuch(BaseException):
    """Raised by models; `except Exception` lets it through."""


@pytest.mark.parametrize("error", [NoSuch("x"), GeneratorExit(), SystemExit(3), StopIteration()], ids=repr)
def test_whatever_a_model_raises_is_an_error_of_the_model(error: BaseException, store: ModelStore) -> None:
    def predict(batch: Any) -> Any:
        raise error

    ref, recipe = pinned(CallableModel(predict), store, inputs="a", result_type="long")
    model = load(recipe.load, store.path(ref.digest))
    assert type(error).__name__ in str(rehearse(recipe, model, store.path(ref.digest)).warning)

    class Unmade:
        def setup(self) -> None:
            raise error

        def predict(self, batch: Any) -> Any:
            return batch

    with pytest.raises(ModelLoadError, match=type(error).__name__) as caught:
        pinned(CallableModel(Unmade), store, inputs="a")
    assert "requirements.txt" not in str(caught.value)


def test_an_interrupt_of_its_user_is_none_of_the_model(store: ModelStore) -> None:
    def predict(batch: Any) -> Any:
        raise KeyboardInterrupt

    ref, recipe = pinned(CallableModel(predict), store, inputs="a", result_type="long")
    with pytest.raises(KeyboardInterrupt):
        rehearse(recipe, load(recipe.load, store.path(ref.digest)), store.path(ref.digest))


@pytest.mark.parametrize(
    ("predict", "complaint"),
    [
        (lambda batch: None, "returned NoneType, which holds no rows"),
        (lambda batch: batch["a"][1:], r"value\(s\) of 'prediction' for a batch of"),
    ],
)
def test_the_plan_finds_what_holds_no_value_for_each_row(
    predict: Callable[..., Any], complaint: str, store: ModelStore
) -> None:
    ref, recipe = pinned(CallableModel(predict), store, inputs="a", result_type="long")
    folder = store.path(ref.digest)
    with pytest.raises(ModelRefusedError, match=complaint) as caught:
        rehearse(recipe, load(recipe.load, folder), folder)
    assert "pyfunc" not in str(caught.value)


def test_a_package_that_its_code_lacks_is_named_without_mlflow_s_files(store: ModelStore) -> None:
    class Unmade:
        def setup(self) -> None:
            import gonelib  # type: ignore[import-not-found]  # noqa: F401 - it is nowhere

        def predict(self, batch: Any) -> Any:
            return batch

    ref = pin_callable(CallableModel(Unmade), ScoreOptions(), store, parse_ddl)
    with pytest.raises(ModelLoadError) as caught:
        pinned(CallableModel(Unmade), store, inputs="a")
    refused = refused_load(caught.value, ref, "callable", store.path(ref.digest))
    assert "gonelib is not installed" in str(refused)
    assert "log the model again" not in str(refused)
