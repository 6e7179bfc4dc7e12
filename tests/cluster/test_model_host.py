"""An executor's workers share one large model; it outlives them, and not the executor."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature

from tests.cluster.driver import Driver, spark
from tests.cluster.standalone import LIGHT

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore::UserWarning")]

MODEL_BYTES = 1_500_000_000
IDLE_SECONDS = 75  # Spark ends workers that idle for 60
BESIDE_BYTES = 1_200_000_000
"""What an executor with its Python processes takes beside the model: its Java, and libraries of three processes."""


@dataclass(frozen=True)
class Running:
    """An application with one executor of two cores, and a model of 1.5 GB that notes its loads."""

    driver: Driver
    pid: int
    folder: Path

    def loads(self) -> list[int]:
        """The processes that loaded the model, the driver's own left out."""
        return [int(line) for line in (self.folder / "log").read_text().split()]

    def executor(self) -> int:
        """The Java process of the executor."""
        (pid,) = (pid for pid in descendants(self.pid) if "CoarseGrained" in command(pid))
        return pid

    def own_bytes(self) -> int:
        """What the executor's processes take, with those that have the model."""
        executor = self.executor()
        pids = {executor, *descendants(executor), *filter(command, self.loads())}
        return sum(map(own_bytes, pids))

    @contextmanager
    def peak(self) -> Iterator[list[int]]:
        """The most that the executor's processes take while the block runs."""
        most, ended = [0], threading.Event()

        def look() -> None:
            while not ended.wait(0.2):
                with suppress(OSError, ValueError, AssertionError):  # a process ended since, or is about to start
                    most[0] = max(most[0], self.own_bytes())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield most
        finally:
            ended.set()
            thread.join()


def processes() -> list[int]:
    return [int(each) for each in os.listdir("/proc") if each.isdigit() and command(int(each))]


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def parent(pid: int) -> int | None:
    """The process that started another one; None where that has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def descendants(pid: int) -> list[int]:
    children = [each for each in processes() if parent(each) == pid]
    return [*children, *(below for child in children for below in descendants(child))]


def own_bytes(pid: int) -> int:
    """What a process takes, with its share of what several have mapped."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def answers(model: str, first: int, hosting: str = "executor") -> list[tuple[int, float]]:
    """Score 128 partitions of ten rows."""
    from spark_infer import score

    rows = spark().range(first, first + 1280, 1, 128).selectExpr("id", "double(id) AS x")
    scored = score(rows, model, hosting=hosting)
    return sorted((row.id, row.prediction) for row in scored.select("id", "prediction").collect())


def doubled(first: int) -> list[tuple[int, float]]:
    return [(each, 2.0 * each) for each in range(first, first + 1280)]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    conf = {**LIGHT, "spark.master": "local-cluster[1,2,1024]"}
    environ = {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_INFER_HOME": str(tmp_path / "store"),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    (tmp_path / "log").touch()
    (tmp_path / "where.txt").write_text(str(tmp_path / "log"))
    example = pd.DataFrame({"x": [0.0, 1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            tmp_path / "model",
            python_model=str(Path(__file__).parent / "models" / "heavy.py"),
            artifacts={"log": str(tmp_path / "where.txt")},
            signature=infer_signature(example, example["x"].rename("prediction")),
            pip_requirements=["pandas"],
        )
    (tmp_path / "log").write_text("")
    driver = Driver(conf, environ)
    yield Running(driver, driver(os.getpid), tmp_path)
    driver.close()


def test_a_large_model_is_loaded_once_and_ends_with_its_executor(running: Running) -> None:
    model = str(running.folder / "model")
    with running.peak() as most:
        assert running.driver(answers, model, 0) == doubled(0)
        workers = descendants(running.executor())
        time.sleep(IDLE_SECONDS)
        executor = running.executor()
        assert len(descendants(executor)) < len(workers)
        assert running.driver(answers, model, 5000) == doubled(5000)
    (host,) = running.loads()
    assert MODEL_BYTES < most[0] < MODEL_BYTES + BESIDE_BYTES, most

    killed = threading.Timer(1, os.kill, args=(host, signal.SIGKILL))
    killed.start()
    assert running.driver(answers, model, 7000) == doubled(7000)
    killed.join()
    (_, host) = running.loads()

    os.kill(executor, signal.SIGKILL)
    end = time.monotonic() + 5
    while command(host) and time.monotonic() < end:
        time.sleep(0.05)
    assert not command(host)
    assert running.driver(answers, model, 9000) == doubled(9000)
    assert len(running.loads()) == 3


def test_workers_without_a_host_hold_a_copy_each(running: Running) -> None:
    with running.peak() as most:
        assert running.driver(answers, str(running.folder / "model"), 0, "worker") == doubled(0)
    assert len(running.loads()) == 2
    assert 2 * MODEL_BYTES < most[0] < 2 * MODEL_BYTES + BESIDE_BYTES, most
