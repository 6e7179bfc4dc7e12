"""What MLflow 2 calls otherwise."""

from __future__ import annotations

import inspect
from typing import Any

import mlflow


def named(name: str) -> dict[str, Any]:
    """The argument of `log_model` that names a model in its run."""
    return (
        {"name": name} if "name" in inspect.signature(mlflow.sklearn.log_model).parameters else {"artifact_path": name}
    )


def trusted(*types: str) -> dict[str, Any]:
    """The argument of `mlflow.sklearn.save_model` with the types that skops may load; MLflow 2 writes no skops."""
    knows = "skops_trusted_types" in inspect.signature(mlflow.sklearn.save_model).parameters
    return {"skops_trusted_types": list(types)} if knows else {}
