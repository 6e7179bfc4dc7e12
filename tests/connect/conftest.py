"""A Spark Connect server in a process of its own, and a folder with a model for the programs that use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyspark
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from spark_infer.tables.delta import delta_conf
from tests.jvm import SMALL_TABLES
from tests.light_skops import import_skops

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
    """A running server."""

    url: str
    log: Path
    folder: Path


def save_line(folder: Path) -> None:
    """Save a model that doubles ``x``."""
    rows = pd.DataFrame({"x": np.arange(20.0), "n": np.arange(20) % 7})
    model = LinearRegression().fit(rows, 2 * rows.x)
    signature = infer_signature(rows, model.predict(rows))
    import_skops()
    mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=["scikit-learn"])


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The class that `sbin/start-connect-server.sh` starts, with Delta, on a free port of the loopback.

    Its workers find another version of spark_infer, and have a model store of their own.
    """
    folder = tmp_path_factory.mktemp("server")
    stale = folder / "python" / "spark_infer"
    stale.mkdir(parents=True)
    (stale / "__init__.py").write_text('__version__ = "0.0.0"\n')
    conf = {
        **delta_conf(),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
        "spark.connect.progress.reportInterval": "100ms",
        **SMALL_TABLES,
        "spark.python.daemon.module": "tests.daemon",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", "--driver-memory", "1g"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    command += [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    changed = {"PYTHONPATH": f"{stale.parent}:{ROOT}", "SPARK_INFER_HOME": str(folder / "store")}
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "spark-internal"], stdout=output, stderr=output, env=environ(**changed), cwd=folder
        )
        try:
            yield Server(f"sc://127.0.0.1:{_port(process, log)}", log, folder)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _port(process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(1200):
        found = re.search(r"Spark Connect server started at: \S+:(\d+)", log.read_text())
        if found:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])


def run(command: list[str], folder: Path, changed: Mapping[str, str], *, returns: int = 0) -> str:
    """Run a program in a folder and return what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environ(**changed), capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == returns, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout
