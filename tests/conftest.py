"""What every test may rely on: a clean environment, an own model store, UTC, and no deadline on a busy machine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests import jvm

if TYPE_CHECKING:
    from spark_infer.runtime.process_state import ProcessState

_FOREIGN_PREFIXES = ("DATABRICKS_", "MLFLOW_", "PYSPARK_", "SPARK_")
_own_folder = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    folder = Path(tempfile.mkdtemp(prefix="spark-infer-tests-"))
    config.stash[_own_folder] = folder
    for name in [name for name in os.environ if name.startswith(_FOREIGN_PREFIXES)]:
        del os.environ[name]
    os.environ["SPARK_INFER_HOME"] = str(folder / "store")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # Python workers import the modules of this suite, whatever folder Spark started in.
    os.environ["PYTHONPATH"] = str(config.rootpath)
    for name in ("SPARK_SUBMIT_OPTS", "SPARK_DAEMON_JAVA_OPTS", "SPARK_LAUNCHER_OPTS"):
        os.environ[name] = jvm.options()
    os.environ["TZ"] = "UTC"
    time.tzset()
    settings.register_profile("suite", deadline=None, print_blob=True)
    settings.load_profile("suite")


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """Keeps the tests of a file in one process, and those of all files that share a cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "tests/cluster" if file.startswith("tests/cluster/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_own_folder], ignore_errors=True)


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has this process break at a point: ``seal:2:raise``; with "" no more."""
    from spark_infer.runtime.failpoints import Failpoints
    from spark_infer.runtime.process_state import this_process

    testing = {"SPARK_INFER_TESTING": "1"}
    return lambda text: monkeypatch.setattr(this_process(), "failpoints", Failpoints(text, testing))


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], ProcessState]:
    """Goes on as a new process would, which keeps nothing of what was before; the old state comes back at the end."""
    from spark_infer.runtime import process_state

    def go_on() -> ProcessState:
        monkeypatch.setattr(process_state, "_state", process_state.ProcessState(os.environ))
        return process_state.this_process()

    return go_on
