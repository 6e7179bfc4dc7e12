"""A real MLflow with a few real scikit-learn models, as users leave it behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.database import new_database

logged_models = pytest.mark.skipif(version("mlflow").startswith("2."), reason="no logged models before MLflow 3")


@dataclass(frozen=True)
class Logged:
    """Addresses and ids of what was logged."""

    tracking_uri: str
    artifacts: Path
    run_id: str
    model_ids: tuple[str, str]

    @property
    def database(self) -> Path:
        return Path(self.tracking_uri.removeprefix("sqlite:///"))

    @property
    def secret_uri(self) -> str:
        """The same place, with a password in the address where addresses have one."""
        parts = urlsplit(self.tracking_uri)
        return f"{parts.scheme}://me:hunter2@{parts.netloc}" if parts.netloc else f"{self.tracking_uri}?key=hunter2"

    @property
    def has_logged_models(self) -> bool:
        """Whether an MLflow 3 logged them: in MLflow 2 a model has no address of its own."""
        return self.model_ids[0].startswith("m-")

    @property
    def model_file(self) -> str:
        """The file of an estimator: MLflow 2 pickles it."""
        return "model.skops" if self.has_logged_models else "model.pkl"

    def copied(self, folder: Path) -> Logged:
        """Copy the database, to be spoilt; the files stay where they are."""
        shutil.copyfile(self.database, folder / "mlflow.db")
        return replace(self, tracking_uri=f"sqlite:///{folder}/mlflow.db")

    def change(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            for statement in statements:
                connection.execute(statement)


@contextmanager
def using(tracking_uri: str) -> Iterator[None]:
    """Make an address MLflow's own setting, and put everything back."""
    import mlflow

    environ = dict(os.environ)
    before = mlflow.tracking._tracking_service.utils._tracking_uri
    mlflow.set_tracking_uri(tracking_uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None is its own first value
        os.environ.clear()
        os.environ.update(environ)


def log_models(folder: Path) -> Logged:
    """Register churn 1 (champion) and churn 2, logged by one run as `first` and `second`."""
    import mlflow
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    from tests.older_mlflow import named

    tracking_uri, artifacts = new_database(folder / "mlflow.db"), folder / "artifacts"
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [0.0, 1.0, 0.0, 1.0]})
    with using(tracking_uri):
        client = mlflow.MlflowClient()
        experiment = client.create_experiment("churn", artifact_location=artifacts.as_uri())
        ids = []
        with mlflow.start_run(experiment_id=experiment) as run:
            for name, labels in {"first": [0, 1, 0, 1], "second": [0, 0, 1, 1]}.items():
                model = LogisticRegression().fit(table, np.array(labels))
                info = mlflow.sklearn.log_model(
                    model,
                    **named(name),
                    signature=mlflow.models.infer_signature(table, model.predict(table)),
                    registered_model_name="churn",
                    pip_requirements=["scikit-learn"],
                )
                ids.append(getattr(info, "model_id", info.model_uuid))  # MLflow 2 has no other id
            mlflow.log_dict({"a": 1}, "notes/a.json")
        client.set_registered_model_alias("churn", "champion", "1")
        client.create_registered_model("empty")
    return Logged(tracking_uri, artifacts, run.info.run_id, (ids[0], ids[1]))
