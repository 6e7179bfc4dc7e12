"""The models of the type matrix, saved as MLflow does."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import ModelSignature

from tests.types.cases import MODELS, Case

ECHO = Path(__file__).parent / "echo.py"
SPEAKER = Path(__file__).parent / "speaker.py"


def save_echo(folder: Path, cases: Sequence[Case]) -> str:
    """Save the echo for some cases; where none of them says what the model takes, without a signature."""
    inputs = [signature_item(case.column, case.takes) for case in cases if case.takes is not None]
    return save(folder, ECHO, inputs, [{"type": "string", "name": "seen"}] if inputs else None)


def save_echoes(folder: Path) -> dict[str, str]:
    """Save a model for each list of cases."""
    return {name: save_echo(folder / name, cases) for name, cases in MODELS.items()}


def signature_item(name: str, takes: str | Mapping[str, Any]) -> dict[str, Any]:
    """MLflow's JSON of an input; nested ones are optional, since MLflow refuses a null in those that are required."""
    if isinstance(takes, str):
        return {"name": name, "type": takes, "required": True}
    return {"name": name, **takes} | ({} if takes["type"] == "tensor" else {"required": False})


def save(
    folder: Path, code: Path, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]] | None
) -> str:
    """Save a pyfunc written in a file of its own."""
    signature = None
    if inputs:
        told = {"inputs": json.dumps(inputs), "outputs": outputs and json.dumps(outputs), "params": None}
        signature = ModelSignature.from_dict(told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(folder, python_model=str(code), signature=signature, pip_requirements=["pandas"])
    return str(folder)
