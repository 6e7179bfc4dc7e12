"""A model that needs a library which is not installed: `plan` and `run` refuse it with what to install."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from spark_infer.errors import EnvironmentProblem, ModelRefusedError
from spark_infer.models.mlmodel import read_mlmodel
from spark_infer.models.unloadable import refuse_missing_modules
from tests.local.jobs import job

pytestmark = pytest.mark.filterwarnings("ignore")

FRAME = pd.DataFrame({"x": np.arange(5.0)})
LIBRARY = """
from sklearn.base import BaseEstimator, TransformerMixin

class Scaler(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X
"""


class Wraps(PythonModel):
    """Holds another model."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return self.model.predict(model_input)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A pipeline with a step of a library that is there until the model is saved."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "gonelib.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    from gonelib import Scaler  # type: ignore[import-not-found]

    yield make_pipeline(Scaler(), LinearRegression()).fit(FRAME, FRAME.x)
    sys.modules.pop("gonelib", None)


def uninstall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(tmp_path / "lib")])
    del sys.modules["gonelib"]  # for good: monkeypatch would bring it back for the tests that follow


@pytest.mark.parametrize("kind", ["cloudpickle", "pickle", "skops", "pyfunc"])
@pytest.mark.parametrize("pinned", [True, False])
def test_a_library_that_only_the_models_own_pickle_names_is_refused_with_what_to_install(
    kind: str, pinned: bool, pipeline: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: dict[str, Any] = {
        "signature": infer_signature(FRAME, FRAME.x.to_numpy()),
        "pip_requirements": ["scikit-learn", *(["gonelib==4.1", "no-such-library"] if pinned else [])],
    }
    if kind == "pyfunc":
        mlflow.pyfunc.save_model(tmp_path / "model", python_model=Wraps(pipeline), **more)
    else:
        trusted = {"skops_trusted_types": ["gonelib.Scaler"]} if kind == "skops" else {}
        mlflow.sklearn.save_model(pipeline, tmp_path / "model", serialization_format=kind, **trusted, **more)
    uninstall(tmp_path, monkeypatch)
    mlmodel = read_mlmodel(tmp_path / "model")
    if pinned:  # what does not load the model knows it too
        with pytest.raises(EnvironmentProblem, match=r"cannot be loaded by this Python\.") as known:
            refuse_missing_modules(mlmodel, tmp_path / "model")
        assert known.value.details == ("gonelib is not installed",)
    else:
        refuse_missing_modules(mlmodel, tmp_path / "model")
    scoring = job(str(tmp_path / "model"), {"path": str(source)}, {"path": str(tmp_path / "out")})
    for command in (scoring.plan, scoring.run):
        with pytest.raises(EnvironmentProblem, match=r"cannot be loaded by this Python\.") as refused:
            command()
        assert refused.value.exit_code == 3
        assert refused.value.details == ("gonelib is not installed",)
        wanted = "there: pip install 'gonelib==4.1' 'no-such-library'" if pinned else "install the package that holds"
        assert refused.value.next_step.startswith(wanted)
        assert "Spark" not in str(refused.value)
        assert ("code_paths=['gonelib.py'" in refused.value.next_step) is not pinned


def test_a_model_that_does_not_load_is_refused_with_the_libraries_that_differ(
    pipeline: Any, source: Path, tmp_path: Path
) -> None:
    mlflow.sklearn.save_model(
        pipeline,
        tmp_path / "model",
        serialization_format="pickle",
        signature=infer_signature(FRAME, FRAME.x.to_numpy()),
        pip_requirements=["scikit-learn", "pandas==98.7"],
    )
    (tmp_path / "lib" / "gonelib.py").write_text("")
    del sys.modules["gonelib"]
    with pytest.raises(ModelRefusedError, match="does not load with backend 'sklearn'") as refused:
        job(str(tmp_path / "model"), {"path": str(source)}, {"path": str(tmp_path / "out")}).plan()
    assert refused.value.exit_code == 2
    assert "pandas==98.7 (here" in str(refused.value)
    assert "Spark" not in refused.value.what + refused.value.next_step
