"""Models and tables for engine `local`; no session of Spark is started here."""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature

from spark_infer.engines.local.process import MODULE
from spark_infer.runtime.fork_server import MODULE as FORK_SERVER
from tests.here import no_processes
from tests.line import save_light_line, save_line
from tests.local.eight import write_files

ROWS = 1000


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that doubles ``x``."""
    return save_light_line(tmp_path_factory.mktemp("line") / "model")


@pytest.fixture(scope="session")
def row_by_row(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same of scikit-learn: its answer for a row is known to depend on that row alone."""
    return save_line(tmp_path_factory.mktemp("row_by_row") / "model")


@pytest.fixture(scope="session")
def moody(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that does what its input says: predict, raise, or have its process killed."""
    return save_from_code(tmp_path_factory.mktemp("moody") / "model", "moody.py")


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that raises for more values than `moody` does."""
    return save_from_code(tmp_path_factory.mktemp("strict") / "model", "strict.py")


def save_from_code(folder: Path, name: str) -> str:
    """Save a pyfunc that a file of `models` makes, and return its folder."""
    example = pd.DataFrame({"x": np.arange(3.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).parent / "models" / name),
            signature=infer_signature(example, example["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    return str(folder)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """1,000 rows in four files: ``id``, ``x`` = id / 4, and ``part`` as a folder."""
    rows = pa.table({"id": np.arange(ROWS), "x": np.arange(ROWS) / 4, "part": np.arange(ROWS) % 4})
    pq.write_to_dataset(rows, tmp_path / "in", partition_cols=["part"])
    return tmp_path / "in"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Eight files of twenty rows."""
    return write_files(tmp_path / "in")


@pytest.fixture
def in_this_process() -> Iterator[None]:
    """Tasks run in the process of the test."""
    with no_processes():
        yield


def children() -> set[str]:
    """The worker processes of engine `local` that this process has now, by number."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [row.split(maxsplit=2) for row in found.splitlines()]
    own = [(pid, command) for pid, parent, command in rows if parent == str(os.getpid())]
    servers = {pid for pid, command in own if FORK_SERVER in command}
    started = {pid for pid, command in own if MODULE in command}
    return started | {pid for pid, parent, _ in rows if parent in servers}
