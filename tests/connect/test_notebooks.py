"""The notebooks on a Spark Connect session that refuses what serverless compute refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.connect.conftest import Server, run

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.py"))
PROGRAM = """
import runpy, sys
from spark_infer.config import SparkConfig
from spark_infer.spark.session import start_session
from tests.connect import serverless

server, notebook = sys.argv[1:]
spark = start_session(SparkConfig(remote=server), app_name="notebook")
serverless.refuse_as_serverless()
runpy.run_path(notebook, init_globals={"spark": spark}, run_name="__main__")
print("refused settings:", *sorted(serverless.asked_for))
"""


@pytest.mark.parametrize("notebook", [pytest.param(path, id=path.stem) for path in NOTEBOOKS])
def test_the_notebook_runs_on_a_session_like_that_of_serverless_compute(
    server: Server, tmp_path: Path, notebook: Path
) -> None:
    changed = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    printed = run([sys.executable, "-c", PROGRAM, server.url, str(notebook)], tmp_path, changed)
    assert "refused settings: " in printed
