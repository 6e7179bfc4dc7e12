"""A model folder small enough to spell out, a real MLflow with real models, and an empty store."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.models.files.store import ModelStore
from tests.unit.models.registry.logged import Logged, log_models

MLMODEL = """\
flavors:
  python_function:
    env: {conda: conda.yaml}
    loader_module: mlflow.sklearn
    model_path: model.skops
    predict_fn: predict_proba
  sklearn:
    code: null
    pickled_model: model.skops
mlflow_version: 3.17.2
model_uuid: m-1
run_id: r-1
saved_input_example_info:
  artifact_path: input_example.json
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}]'
  outputs: null
  params: null
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "churn"
    (made / "code").mkdir(parents=True)
    (made / "MLmodel").write_text(MLMODEL)
    (made / "model.skops").write_bytes(b"weights")
    (made / "code" / "features.py").write_text("x = 1\n")
    return made


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """For reading only; `logged.copied` has one to spoil."""
    folder = tmp_path_factory.mktemp("mlflow")
    return log_models(folder)
