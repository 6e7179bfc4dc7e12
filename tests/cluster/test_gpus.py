"""Two GPUs that are announced and not there: Spark schedules for them as for real ones."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature

from spark_infer.errors import ResourcesError
from tests.cluster.driver import Driver, spark
from tests.cluster.gpu_steps import FIELDS
from tests.cluster.standalone import LIGHT, Cluster

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests" / "unit" / "runtime" / "other_gpu"
TASKS = 12


@dataclass(frozen=True)
class Row:
    """Where one row was scored: by what the model saw, and by what Spark assigned."""

    seen: str
    process: int
    address: str
    worker: int
    cached: int
    threads: int


def score_slowly(model: str, tasks: int, resources: Mapping[str, Any], hosting: str) -> list[Row]:
    """Score one batch in each task, after a stage of SQL alone."""
    from spark_infer import score

    slow = "double(id) + 0 * length(coalesce(reflect('java.lang.Thread', 'sleep', 20L), ''))"
    frame = spark().range(0, tasks * tasks, 1, tasks).selectExpr(f"{slow} AS x").repartition(tasks)
    step = "tests.cluster.gpu_steps:note"
    rows = score(frame, model, keep=[], postprocess=step, resources=resources, hosting=hosting).distinct().collect()
    return [Row(*told.split(), *(row[name] for name in FIELDS)) for row in rows for told in [row["prediction"]]]


def planned_tasks(model: str, folder: str, resources: Mapping[str, Any]) -> list[str]:
    """Return what the plan says about tasks."""
    from spark_infer import ScoringJob
    from spark_infer.config import JobConfig

    spark().range(3).selectExpr("double(id) as x").write.mode("ignore").parquet(f"{folder}/source")
    config = {
        "model": model, "source": f"{folder}/source", "target": f"{folder}/target", "resources": resources
    }  # fmt: skip
    for key, name in (("model", "uri"), ("source", "path"), ("target", "path")):
        config[key] = {name: config[key]}
    return list(ScoringJob(JobConfig.model_validate(config)).plan(spark()).tasks)


def refuse(resources: Mapping[str, Any]) -> None:
    """Ask for what cannot be had."""
    from spark_infer.config import ResourceOptions
    from spark_infer.spark.resources.stage import plan_stage

    plan_stage(spark(), ResourceOptions.model_validate(resources))


@dataclass(frozen=True)
class Gpus:
    """The driver of an application with one executor of ten cores and two GPUs, and its event log."""

    driver: Driver
    events: Path

    def most_at_once(self) -> dict[int, int]:
        """Return how many tasks ran at once: the most for each resource profile, after the last query."""
        deadline = time.monotonic() + 30
        while "SparkListenerSQLExecutionEnd" not in self._lines()[-1]:
            assert time.monotonic() < deadline, self._lines()[-1]
            time.sleep(0.1)
        events = [json.loads(line) for line in self._lines()]
        profile = {
            each["Stage Info"]["Stage ID"]: each["Stage Info"]["Resource Profile Id"]
            for each in events
            if each["Event"] == "SparkListenerStageSubmitted"
        }
        steps: dict[int, list[tuple[int, int]]] = {}
        for each in events:
            if each["Event"] == "SparkListenerTaskEnd":
                # The driver hears of the end only after it has given the cores to the next task.
                metrics, start = each["Task Metrics"], each["Task Info"]["Launch Time"]
                end = start + metrics["Executor Deserialize Time"] + metrics["Executor Run Time"]
                steps.setdefault(profile[each["Stage ID"]], []).extend([(start, 1), (end, -1)])
        most = {}
        for number, changes in steps.items():
            running = [0]
            for _, change in sorted(changes):  # what ends in the same millisecond comes first
                running.append(running[-1] + change)
            most[number] = max(running)
        return most

    def _lines(self) -> list[str]:
        (log,) = self.events.iterdir()
        return [line for line in log.read_text().splitlines() if line.endswith("}")]


@pytest.fixture(scope="module")
def gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpus]:
    folder = tmp_path_factory.mktemp("gpus")
    script, events = folder / "discover.sh", folder / "events"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0", "1"]}\'\n')
    script.chmod(0o755)
    events.mkdir()
    conf = {
        **LIGHT,
        "spark.master": "local-cluster[1,10,1024]",
        "spark.eventLog.compress": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": str(events),
        "spark.eventLog.rolling.enabled": "false",
        "spark.executor.resource.gpu.amount": "2",
        "spark.executorEnv.PYTHONPATH": str(ROOT),
        "spark.executorEnv.SPARK_INFER_HOME": str(folder / "node"),
        "spark.python.daemon.module": "tests.daemon",
        "spark.worker.resource.gpu.amount": "2",
        "spark.worker.resource.gpu.discoveryScript": str(script),
    }
    environ = {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_INFER_HOME": str(folder / "driver"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_WORKER_DIR": str(folder / "work"),
    }
    running = Driver(conf, environ)
    yield Gpus(running, events)
    running.close()


@dataclass(frozen=True)
class OnGpu:
    """A model that notes its loads and its ends, and predicts the GPU that its framework sees and its process."""

    folder: str
    log: Path

    def count(self, event: str) -> int:
        """Return how often it happened on a GPU; the driver's own copy sees none."""
        lines = self.log.read_text().splitlines()
        return sum(line.startswith(event) and not line.startswith(f"{event} None") for line in lines)


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory: pytest.TempPathFactory) -> OnGpu:
    folder = tmp_path_factory.mktemp("on_gpu")
    log, where = folder / "log", folder / "where.txt"
    where.write_text(str(log))
    example = pd.DataFrame({"x": [1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder / "model",
            python_model=str(MODEL / "model.py"),
            artifacts={"log": str(where)},
            code_paths=[str(MODEL / "standin.py")],
            signature=infer_signature(example, pd.Series(["a"], name="prediction")),
            pip_requirements=["pandas"],
        )
    log.write_text("")
    return OnGpu(str(folder / "model"), log)


def test_each_task_sees_its_gpu_alone_and_as_many_run_at_once_as_the_plan_says(
    gpus: Gpus, on_gpu: OnGpu, tmp_path: Path
) -> None:
    resources = {"gpu": 1, "tasks_per_gpu": 4}
    rows = gpus.driver(score_slowly, on_gpu.folder, TASKS, resources, "auto")
    # Tasks that share a GPU share the model there.
    assert on_gpu.count("load") == 2
    assert {row.seen for row in rows} == {"0", "1"}
    assert len({row.process for row in rows}) == 2
    assert {row.process for row in rows}.isdisjoint({row.worker for row in rows})
    assert [row for row in rows if row.seen != row.address] == []
    # 2 GPUs x 4 tasks = 8 of the 10 cores; the stage before has all 10.
    etl, scoring = sorted(gpus.most_at_once().items())
    assert (etl, scoring[1]) == ((0, 10), 8)
    assert scoring[0] > 0
    *planned, hosting, prefetch = gpus.driver(planned_tasks, on_gpu.folder, str(tmp_path), resources)
    assert hosting.startswith("hosting: executor (tasks share a GPU: 8 x ")
    assert prefetch == "prefetch: on (the model predicts on a GPU)"
    assert planned == [
        "at most 8 at once on 1 executor with 10 cores and 2 GPUs",
        "each takes 1 core and 1/4 of a GPU, by a resource profile on the stage that reads and scores alone; other "
        "stages run 10 tasks at once",
        "2 copies of the model, one for each GPU, which its workers feed",
        "2 cores idle, since the GPUs are taken: set resources.tasks_per_gpu: 5 where that many copies fit into a "
        "GPU's memory",
    ]


@pytest.mark.soak
def test_a_worker_that_changes_its_gpu_keeps_no_copy_on_the_old_one(gpus: Gpus, on_gpu: OnGpu) -> None:
    seen: list[Row] = []
    moved: set[int] = set()
    for _ in range(12):
        seen += gpus.driver(score_slowly, on_gpu.folder, 2, {"gpu": 1, "cpus": 2}, "worker")
        places = {(row.worker, row.address) for row in seen}
        moved = {worker for worker, _ in places if {(worker, "0"), (worker, "1")} <= places}
        if moved:
            break
    assert moved
    assert [row for row in seen if row.seen != row.address] == []
    assert {row.threads for row in seen} == {2}
    for _ in range(2):  # every worker tells what it holds
        seen += gpus.driver(score_slowly, on_gpu.folder, TASKS, {"gpu": 1, "tasks_per_gpu": 2}, "worker")
    live = {row.worker: row.cached for row in seen}
    assert on_gpu.count("close") == on_gpu.count("load") - sum(live.values())
    # Each worker has its model for the one and for the two threads at most, both on one GPU.
    assert max(live.values()) <= 2


def test_more_than_the_executors_have_is_refused_before_any_task(gpus: Gpus) -> None:
    with pytest.raises(ResourcesError, match=r"A task wants 3 GPUs, and the executors have 2 each\."):
        gpus.driver(refuse, {"gpu": 3})
    with pytest.raises(ResourcesError, match=r"A task wants 11 cores, and no executor has more than 10\."):
        gpus.driver(refuse, {"cpus": 11})


@pytest.mark.soak
def test_executors_with_gpus_that_no_worker_has_are_refused_and_not_waited_for(cluster: Cluster) -> None:
    conf = {**LIGHT, "spark.master": cluster.master, "spark.executor.resource.gpu.amount": "1"}
    driver = Driver(conf, {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"})
    try:
        with pytest.raises(ResourcesError, match=r"No worker of spark://.* can start an executor with 1 core"):
            driver(refuse, {"gpu": 1})
    finally:
        driver.close()
