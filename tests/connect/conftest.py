"""A Spark Connect server, and a folder with a model for the programs that use it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyspark
import pytest
from mlflow.models import infer_signature
from pyspark.sql import SparkSession
from sklearn.linear_model import LinearRegression

from tests.unit.models.registry.servers import free_port

ROOT = Path(__file__).parents[2]
SPARK_HOME = Path(pyspark.__file__).parent

USER_STEPS = """
import os
import signal


def die(batch):
    if batch.num_rows:  # the driver tries a step without rows
        os.kill(os.getpid(), signal.SIGKILL)
    return batch


def complain(batch):
    if batch.num_rows:
        raise ValueError("secret value 12345")
    return batch
"""


def environ(**changed: str) -> dict[str, str]:
    """What a program starts with; `SPARK_HOME` spares the launcher a search with some other Python."""
    ours = {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1"}
    return {**os.environ, **ours, "PYTHONPATH": str(ROOT), **changed}


@dataclass(frozen=True)
class Server:
    """A running server, which finds models in the store of these tests."""

    url: str


def save_line(folder: Path) -> None:
    """Save a model that doubles ``x``."""
    rows = pd.DataFrame({"x": np.arange(20.0), "n": np.arange(20) % 7})
    model = LinearRegression().fit(rows, 2 * rows.x)
    signature = infer_signature(rows, model.predict(rows))
    mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=["scikit-learn"])


@pytest.fixture(scope="package")
def server(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The Connect service of the session that all tests share, on a free port of the loopback.

    Workers of its sessions find another version of spark_infer (tests/daemon.py), and the model store of these tests,
    which the programs do not have.
    """
    stale = Path(os.environ["SPARK_INFER_HOME"]).parent / "older" / "spark_infer"
    stale.mkdir(parents=True)
    (stale / "__init__.py").write_text('__version__ = "0.0.0"\n')
    port = free_port()
    jvm: Any = spark._jvm
    conf = jvm.org.apache.spark.SparkEnv.get().conf()
    conf.set("spark.connect.grpc.binding.address", "127.0.0.1")
    conf.set("spark.connect.grpc.binding.port", str(port))
    conf.set("spark.connect.progress.reportInterval", "100ms")
    service = jvm.org.apache.spark.sql.connect.service.SparkConnectService
    service.start(spark.sparkContext._jsc.sc())
    yield Server(f"sc://127.0.0.1:{port}")
    service.stop(jvm.scala.Option.empty(), jvm.scala.Option.empty())
    spark.sql("DROP TABLE IF EXISTS scored")


def run(command: list[str], folder: Path, changed: Mapping[str, str], *, returns: int = 0) -> str:
    """Run a program in a folder and return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environ(**changed), capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == returns, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout
