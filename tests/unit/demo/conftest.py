"""The demo runs in a process of its own and sets MLflow's addresses there; here they are put back."""

from __future__ import annotations

import os
from collections.abc import Iterator

import mlflow
import pytest


@pytest.fixture(autouse=True)
def mlflow_addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore what MLflow keeps in its modules and in the environment."""
    tracking, registry = mlflow.tracking._tracking_service.utils, mlflow.tracking._model_registry.utils
    monkeypatch.setattr(tracking, "_tracking_uri", tracking._tracking_uri)
    monkeypatch.setattr(registry, "_registry_uri", registry._registry_uri)
    environ = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environ)
