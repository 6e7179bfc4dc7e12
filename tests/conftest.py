"""What every test may rely on: a clean environment, an own model store, UTC, no deadline, and one Spark session."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests import jvm

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_infer.runtime.process_state import ProcessState

_FOREIGN_PREFIXES = ("DATABRICKS_", "MLFLOW_", "PYSPARK_", "SPARK_")
# Where files cost no disk: the tests store tens of thousands of small ones, and a disk takes milliseconds for each.
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 * 2**30
_WITH_SESSION = "tests/spark/"
_own_folder = pytest.StashKey[Path]()
# Threads of OpenMP and OpenBLAS that have nothing to do sleep. By default they spin, on cores that others wait for.
_IDLE_THREADS_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_THREAD_TIMEOUT": "4"}
# Random examples: few in each round; `make soak` has as many as hypothesis takes by default, and more.
settings.register_profile("suite", deadline=None, print_blob=True, max_examples=25)
settings.register_profile("soak", settings.get_profile("suite"), max_examples=200)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    if "TMPDIR" not in os.environ and _has_room(_MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
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
    os.environ.update(_IDLE_THREADS_SLEEP)
    os.environ["TZ"] = "UTC"
    time.tzset()


def _has_room(folder: Path) -> bool:
    """Whether temporary files of the tests fit into a folder, programs among them."""
    if not folder.is_dir():
        return False
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize >= _ROOM_BYTES and not disk.f_flag & os.ST_NOEXEC


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Jobs with the same environment share what starts their workers, and pytest changes this for each test."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """Keeps the tests of a file in one process, and those of all files that share a cluster.

    Of three processes the last one has no session of Spark: it begins with the files that need none, and the others
    come to those when their own are done.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "tests/cluster" if file.startswith("tests/cluster/") else file

    def _assign_work_unit(self, node: Any) -> None:
        if self.numnodes > 2 and (scope := self._next_of_its_kind(node)):
            self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        if not node.shutting_down and self._has_no_session(node) and not self._next_of_its_kind(node):
            node.shutdown()
        else:
            super()._reschedule(node)

    def _next_of_its_kind(self, node: Any) -> str | None:
        alone = self._has_no_session(node)
        return next((scope for scope in self.workqueue if scope.startswith(_WITH_SESSION) != alone), None)

    def _has_no_session(self, node: Any) -> bool:
        name: str = node.gateway.id
        return self.numnodes > 2 and name == f"gw{self.numnodes - 1}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_own_folder], ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _libraries_are_no_garbage() -> None:
    """Has searches for garbage pass over what was there before a file's tests.

    That is half a million objects of MLflow, scikit-learn and PyTorch, and a search through them takes half a second.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session of all tests of this process, with Delta; everything that it writes is in a temporary folder.

    Two cores, few and small partitions, UTC; the JVM's and the workers' log is `spark.log` in its folder.
    """
    from spark_infer.config import SparkConfig
    from spark_infer.spark.session import start_session
    from spark_infer.tables.delta import delta_conf

    folder = tmp_path_factory.mktemp("spark")
    conf = {
        **jvm.CALENDAR,
        **jvm.SMALL_TABLES,
        "spark.databricks.delta.writeChecksumFile.enabled": "false",  # one more job for each commit
        "spark.driver.extraJavaOptions": jvm.LONG,
        "spark.driver.memory": "2g",
        "spark.local.dir": str(folder / "local"),
        "spark.python.daemon.module": "tests.daemon",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    session = start_session(
        SparkConfig(master="local[2]", conf=conf),
        app_name="spark-infer tests",
        delta_conf=delta_conf(),
        log_file=folder / "spark.log",
    )
    yield session
    session.stop()


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
