from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Command = Callable[..., Result]

MLMODEL = """\
flavors:
  python_function:
    loader_module: mlflow.sklearn
    model_path: model.pkl
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.9.1
mlflow_version: 3.17.2
model_uuid: m-1
run_id: abc
signature:
  inputs: '[{"type": "long", "name": "month", "required": true},
    {"type": "string", "name": "carrier", "required": false}]'
  outputs: '[{"type": "double", "required": true}]'
  params: '[{"name": "alpha", "type": "double", "default": 0.5, "shape": null}]'
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "delay"
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "model.pkl").write_bytes(b"never opened")
    return folder


def test_inspect_shows_the_model_and_what_would_serve_it(command: Command, model: Path) -> None:
    result = command("models", "inspect", model)
    assert result.exit_code == 0, result.stderr
    title, _, *lines = result.stdout.splitlines()
    assert title.startswith("delay version ")
    for line in (
        f"  uri      {model}",
        "  flavors  python_function, sklearn",
        "  mlflow   3.17.2",
        "  run      abc",
        "  backend  sklearn: native backend of the sklearn flavor",
    ):
        assert line in lines
    assert lines[lines.index("inputs") :] == [
        "inputs",
        "  name     type    required",
        "  month    long    yes",
        "  carrier  string  no",
        "",
        "outputs",
        "  name  type    required",
        "  -     double  yes",
        "",
        "params",
        "  name   type    default",
        "  alpha  double  0.5",
    ]


def test_inspect_as_json_has_the_same_facts(command: Command, model: Path) -> None:
    facts = json.loads(command("models", "inspect", model, "--json").stdout)
    assert facts["backend"] == "sklearn"
    assert len(facts["digest"]) == 64
    assert facts["version"] == facts["digest"][:12]
    assert facts["size_bytes"] == len(MLMODEL.encode()) + len(b"never opened")
    assert facts["signature"]["inputs"][1] == {"name": "carrier", "type": "string", "required": False}


def test_a_model_without_signature_or_backend_is_told_so(command: Command, model: Path) -> None:
    (model / "MLmodel").write_text("flavors:\n  onnx: {data: model.pkl}\n")
    result = command("models", "inspect", model)
    assert result.exit_code == 0, result.stderr
    assert "  backend  none: " in result.stdout
    assert "no signature\n  Name the columns" in result.stdout


def test_a_model_that_is_not_there_is_refused(command: Command, tmp_path: Path) -> None:
    result = command("models", "inspect", tmp_path / "nope", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stderr)["error"] == "ModelNotFoundError"
