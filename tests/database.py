"""MLflow's database, made once for all tests: a new one goes through all of MLflow's migrations, seconds of work."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

BUILD = Path(__file__).parents[1] / "build"


def new_database(path: Path) -> str:
    """Put an empty database at a path, and return its address."""
    made = BUILD / f"mlflow-{version('mlflow')}.db"
    if not made.is_file():
        _make(made)
    shutil.copyfile(made, path)
    return f"sqlite:///{path}"


def _make(made: Path) -> None:
    import mlflow

    made.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        database = Path(folder) / "mlflow.db"
        mlflow.MlflowClient(f"sqlite:///{database}").search_experiments()
        with closing(sqlite3.connect(database)) as connection, connection:
            # The default experiment has the folder of this process; MLflow makes another one where there is none.
            connection.execute("DELETE FROM experiments")
        os.replace(database, made)  # another process may be making it too
