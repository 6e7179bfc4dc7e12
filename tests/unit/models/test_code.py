"""Modules that a model brings along hide neither Python's own nor the libraries that score."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.config import ScoreOptions
from spark_infer.errors import ModelRefusedError
from spark_infer.models.backends.choose_backend import choose
from spark_infer.models.mlmodel import MLModel

BOTH = {"python_function": {"code": "code", "loader_module": "x"}, "mine": {"code": "more"}}
PYFUNC = MLModel(flavors=BOTH)
SPARK = MLModel(flavors={"python_function": {"code": "code", "loader_module": "mlflow.spark"}, "spark": {}})


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("raise SystemExit('a module of the model was imported')")


@pytest.mark.parametrize(
    ("files", "hidden"),
    [
        (["code/json.py"], "json"),
        (["code/pyarrow/__init__.py"], "pyarrow"),
        (["code/sklearn.abi3.so", "code/own.py"], "sklearn"),
        (["code/xgboost.pyc"], "xgboost"),
        (["code/spark_infer/__init__.py", "more/secrets.py", "code/abc.py"], "abc, secrets, spark_infer"),
        (["code/sitecustomize.py"], "sitecustomize"),
        (["more/torch/__init__.py"], "torch"),
    ],
)
def test_a_module_that_would_hide_another_is_refused_by_name(files: list[str], hidden: str, tmp_path: Path) -> None:
    write(tmp_path, *files)
    with pytest.raises(ModelRefusedError, match=f"libraries that score: {hidden}\\."):
        choose(PYFUNC, ScoreOptions(), tmp_path)


def test_a_pipeline_of_spark_is_no_exception(tmp_path: Path) -> None:
    write(tmp_path, "code/numpy.py")
    with pytest.raises(ModelRefusedError, match="numpy"):
        choose(SPARK, ScoreOptions(), tmp_path)


def test_the_users_own_packages_and_forks_of_other_libraries_are_welcome(tmp_path: Path) -> None:
    write(
        tmp_path,
        *("code/churn/__init__.py", "code/churn/types.py", "code/churn/json/__init__.py", "code/utils.py"),
        *("code/setfit/__init__.py", "code/imblearn/__init__.py", "code/pluggy/__init__.py"),
        *("code/tests/__init__.py", "code/test/__init__.py", "code/logging/rules.txt", "code/json/schema.json"),
        *("code/__pycache__/json.cpython-311.pyc", "code/pickle.txt", "code/numpy_tools.py", "elsewhere/json.py"),
    )
    assert choose(PYFUNC, ScoreOptions(), tmp_path).backend == "pyfunc"
