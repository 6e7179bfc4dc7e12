"""What a model needs installed, and what is refused or told where this Python has something else."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from spark_infer.errors import EnvironmentProblem
from spark_infer.models.backends import native
from spark_infer.models.mlmodel import MLModel
from spark_infer.models.requirements import Requirement, refuse, refuse_unmet, requirements


def model(**flavors: Any) -> MLModel:
    return MLModel(flavors={"python_function": {}, **flavors})


@pytest.mark.parametrize(
    ("flavors", "backend", "modules"),
    [
        ({"xgboost": {"model_class": "xgboost.core.Booster"}}, "xgboost", ["xgboost"]),
        ({"xgboost": {"model_class": "xgboost.sklearn.XGBRegressor"}}, "xgboost", ["xgboost", "sklearn"]),
        ({"sklearn": {"serialization_format": "skops"}}, "sklearn", ["sklearn", "skops"]),
        (
            {"lightgbm": {"model_class": "lightgbm.sklearn.LGBMRanker", "serialization_format": "cloudpickle"}},
            "lightgbm",
            ["lightgbm", "sklearn", "cloudpickle"],
        ),
        (
            {"lightgbm": {"model_class": "lightgbm.basic.Booster", "serialization_format": "skops"}},
            "pyfunc",
            ["lightgbm", "mlflow", "pandas"],
        ),
        ({"onnx": {"onnx_version": "1.16.0"}}, "onnx", ["onnxruntime"]),
        ({}, "pyfunc", ["mlflow", "pandas"]),
    ],
)
def test_a_model_needs_what_its_backend_imports(flavors: Any, backend: str, modules: list[str]) -> None:
    assert [each.module for each in requirements(model(**flavors), backend)] == modules


def test_a_library_that_is_missing_is_named_with_the_version_to_install() -> None:
    needed = [Requirement("no_such_module", "no-such-module", "1.2.3")]
    with pytest.raises(EnvironmentProblem) as refused:
        refuse_unmet(needed)
    assert refused.value.details == ("no-such-module is not installed",)
    assert refused.value.next_step == "there: pip install 'no-such-module==1.2.3'"
    refuse_unmet(needed, missing=False)


@pytest.mark.parametrize(
    ("absent", "command"),
    [
        ([Requirement("xgboost", "xgboost", "3.1.2")], "'spark-infer[xgboost]' 'xgboost==3.1.2'"),
        (
            [Requirement("xgboost", "xgboost"), Requirement("sklearn", "scikit-learn", "1.7.0")],
            "'spark-infer[xgboost]' 'scikit-learn==1.7.0'",
        ),
        (
            [Requirement("xgboost", "xgboost"), Requirement("mlflow", "mlflow"), Requirement("pandas", "pandas")],
            "'spark-infer[xgboost,mlflow]'",
        ),
        ([Requirement("torch", "torch", "2.15.0+cu132")], "'spark-infer[torch]' 'torch==2.15.0'"),
        (
            [Requirement("no_such_module", "no-such-module"), Requirement("pandas", "pandas")],
            "'no-such-module' 'pandas'",
        ),
        (
            [Requirement("sklearn", "scikit-learn"), Requirement("skops", "skops")],
            "'spark-infer[sklearn]'",
        ),
        ([Requirement("mlflow", "mlflow"), Requirement("pandas", "pandas")], "'spark-infer[mlflow]'"),
        (
            [Requirement("prophet", "prophet", "1.1"), Requirement("mlflow", "mlflow")],
            "'spark-infer[mlflow]' 'prophet==1.1'",
        ),
        (
            [Requirement("spark_infer", "spark-infer", "0.1.0"), Requirement("mlflow", "mlflow")],
            "'spark-infer[mlflow]==0.1.0'",
        ),
    ],
)
def test_the_command_names_the_extra_that_brings_a_library(absent: list[Requirement], command: str) -> None:
    with pytest.raises(EnvironmentProblem) as refused:
        refuse(absent, absent=absent, installed={}, where="this Python")
    assert refused.value.next_step == f"there: pip install {command}"


def test_every_library_of_a_flavor_with_an_extra_names_that_extra() -> None:
    ours = metadata.requires("spark-infer") or []
    flavors = sorted(path.stem for path in Path(native.__file__).parent.glob("[a-z]*.py"))
    assert flavors
    for flavor in flavors:
        (framework, *_) = requirements(model(**{flavor: {}}), flavor)
        with pytest.raises(EnvironmentProblem) as refused:
            refuse([framework], absent=[framework], installed={}, where="this Python")
        (extra,) = re.findall(r"spark-infer\[([\w-]+)\]", str(refused.value.next_step))
        assert [each for each in ours if re.match(rf"{framework.distribution}\b.*extra == .{extra}\W", each)], flavor


@pytest.mark.parametrize(
    ("saved_by", "here", "refused"),
    [
        ("3.2.0", "3.1.9", True),
        ("4.0.0", "3.9.0", True),
        ("3.10.0", "3.9.0", True),
        ("3.2.9", "3.2.0", False),
        ("2.1.0", "3.2.0", False),
        ("nightly", "3.2.0", False),
    ],
)
def test_a_model_of_a_later_xgboost_is_refused_and_one_of_a_later_patch_is_not(
    saved_by: str, here: str, refused: bool
) -> None:
    needed = requirements(model(xgboost={"xgb_version": saved_by}), "xgboost")
    if not refused:
        refuse(needed, absent=[], installed={"xgboost": here}, where="here")
        return
    with pytest.raises(EnvironmentProblem, match="cannot be loaded by the workers") as error:
        refuse(needed, absent=[], installed={"xgboost": here}, where="the workers")
    assert error.value.details[0].startswith(f"xgboost is {here}, the model was saved by {saved_by}")


def test_a_later_scikit_learn_is_refused_by_what_is_installed_here() -> None:
    with pytest.raises(EnvironmentProblem, match="this Python") as refused:
        refuse_unmet(requirements(model(sklearn={"sklearn_version": "99.0"}), "sklearn"))
    assert f"scikit-learn is {metadata.version('scikit-learn')}" in refused.value.details[0]
