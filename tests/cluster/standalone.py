"""A real standalone cluster: a master and workers as processes on the loopback, each worker a node of its own.

The nodes share nothing but this machine: each has its own work and scratch folders, and an environment that is spelled
out here. All logs stay in the folder: `master.log`, `NODE/worker.log`, and each executor's `stderr` below `NODE`.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyspark

from tests import jvm
from tests.unit.models.registry.servers import stop

SPARK_HOME = Path(pyspark.__file__).parent
ROOT = Path(__file__).parents[2]
_MOST_SECONDS = 60.0
_LIGHT_JVM = jvm.options()

LIGHT = {
    **jvm.SMALL_TABLES,
    "spark.driver.extraJavaOptions": _LIGHT_JVM,
    "spark.driver.memory": "1g",
    "spark.executor.extraJavaOptions": _LIGHT_JVM,
    "spark.executor.memory": "512m",
}
"""Settings of an application that cost little to start; none of them changes what is tested."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One worker.

    Attributes:
        folder: Everything that the node keeps.
        environ: Its environment, beside what every node needs to start.
        settings: Spark settings of the worker, such as ``spark.worker.resource.gpu.amount``.
        cores: How many it offers.
    """

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    cores: int = 2

    @property
    def executor_logs(self) -> list[Path]:
        """What each executor of this node wrote, its Python workers included."""
        return sorted(self.folder.glob("work/app-*/*/stderr"))


@dataclass(frozen=True)
class Cluster:
    """The address of the master, and the nodes."""

    master: str
    nodes: Sequence[Node]

    def submit(
        self, *arguments: str, environ: Mapping[str, str], folder: Path, seconds: float = 280
    ) -> subprocess.CompletedProcess[str]:
        """Run the real `spark-submit` against this cluster."""
        settings = [part for name, value in LIGHT.items() for part in ("--conf", f"{name}={value}")]
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", self.master, *settings, *arguments]
        return subprocess.run(
            command, env={**everywhere(), **environ}, cwd=folder, capture_output=True, text=True, timeout=seconds,
            check=False,
        )  # fmt: skip


def everywhere() -> dict[str, str]:
    """Return what a process of Spark needs: Java, this Spark, and `spark_infer` where it is not installed."""
    known = {name: os.environ[name] for name in ("PATH", "JAVA_HOME") if name in os.environ}
    return {**known, "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": str(ROOT)}


@contextmanager
def standalone(folder: Path, nodes: Sequence[Node]) -> Iterator[Cluster]:
    """Start a master and a worker for each node; stop them by their ids."""
    with ExitStack() as running:
        log = folder / "master.log"
        arguments = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        running.enter_context(_process("master.Master", arguments, log, {}, folder))
        (master,) = _wait_for(log, r"Starting Spark master at (spark://\S+)", 1)
        for node in nodes:
            for name in ("work", "local"):
                (node.folder / name).mkdir(parents=True)
            settings = " ".join(f"-D{name}={value}" for name, value in node.settings.items())
            environ = {
                "SPARK_LOCAL_DIRS": str(node.folder / "local"), "SPARK_WORKER_OPTS": settings, **node.environ
            }  # fmt: skip
            arguments = ["--host", "127.0.0.1", "--webui-port", "0", "--cores", str(node.cores), "--memory", "2g"]
            arguments += ["--work-dir", str(node.folder / "work"), master]
            worker = _process("worker.Worker", arguments, node.folder / "worker.log", environ, node.folder)
            running.enter_context(worker)
        _wait_for(log, r"Registering worker (\S+) with", len(nodes))
        yield Cluster(master, nodes)


@contextmanager
def _process(
    name: str, arguments: Sequence[str], log: Path, environ: Mapping[str, str], folder: Path
) -> Iterator[None]:
    command = [str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *arguments]
    light = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": _LIGHT_JVM}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**everywhere(), **light, **environ}, cwd=folder, stdout=output, stderr=output,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        stop(process)


def _wait_for(log: Path, pattern: str, count: int) -> list[str]:
    """Return what a pattern's group matched in a log, once it is there often enough."""
    return until(lambda: found if len(found := re.findall(pattern, log.read_text())) >= count else None, log)


def until(look: Callable[[], list[str] | None], log: Path) -> list[str]:
    """Ask until there is an answer; the end of the log is the error."""
    deadline = time.monotonic() + _MOST_SECONDS
    while (found := look()) is None:
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)
    return found
