"""A worker that is handed another GPU: the model moves to a process that starts with that GPU."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature

from spark_infer.config import ResourceOptions, ScoreOptions
from spark_infer.errors import DeviceError, ModelLoadError, PredictError, RunError
from spark_infer.models.backends import load
from spark_infer.models.mlmodel import read_mlmodel
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.model_process import ModelProcess, gone_from_gpu
from spark_infer.runtime.process_state import ProcessState

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

HERE = Path(__file__).parent
ROWS = pa.schema([pa.field("x", pa.float64())])


@dataclass(frozen=True)
class Made:
    folder: Path
    log: Path

    def events(self) -> list[str]:
        return [line.split()[0] for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("on_gpu")
    log, where = folder / "log", folder / "where.txt"
    where.write_text(str(log))
    example = pd.DataFrame({"x": [1.0]})
    mlflow.pyfunc.save_model(
        folder / "model",
        python_model=str(HERE / "model.py"),
        artifacts={"log": str(where)},
        code_paths=[str(HERE / "standin.py")],
        signature=infer_signature(example, pd.Series(["a"], name="prediction")),
        pip_requirements=["pandas"],
    )
    log.write_text("")
    return Made(folder / "model", log)


@pytest.fixture(scope="module")
def recipe(made: Made) -> Recipe:
    mlmodel = read_mlmodel(made.folder)
    ref = ModelRef(
        uri="on_gpu", name="on_gpu", version="1", digest="d1", source="", flavors=(), mlmodel=mlmodel, size_bytes=1
    )
    return make_recipe(
        ref, ROWS, ScoreOptions(), folder=made.folder, load_model=lambda spec: pytest.fail("loaded on the driver")
    )


Task = Callable[..., list[str]]


@pytest.fixture
def task(
    recipe: Recipe, made: Made, monkeypatch: pytest.MonkeyPatch, new_process: Callable[[], ProcessState]
) -> Iterator[Task]:
    """Run tasks in this process as a new Python worker would."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    process = new_process()
    monkeypatch.delitem(sys.modules, "standin", raising=False)

    def run(*addresses: str, x: float = 1.0, resources: ResourceOptions | None = None) -> list[str]:
        where = Assignment(addresses=addresses, cpus=1, resources=resources or ResourceOptions())
        batch = pa.record_batch([[x]], schema=ROWS)
        (scored,) = score_table_batches(recipe, lambda: made.folder, [batch], where)
        (seen,) = scored.column("prediction").to_pylist()
        return str(seen).split()

    yield run
    process.models.clear()
    Assignment().bind()
    monkeypatch.delitem(sys.modules, "standin", raising=False)


def is_running(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


def wait_until(done: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    return done()


def test_each_task_runs_on_its_gpu_and_no_gpu_keeps_a_copy_that_a_worker_left(task: Task, made: Made) -> None:
    made.log.write_text("")
    mine = str(os.getpid())
    assert task("0") == ["0", mine]
    assert task("0") == ["0", mine]
    assert made.events() == ["load"]
    seen, child = task("1")
    assert (seen, child != mine) == ("1", True)
    assert made.events() == ["load", "close", "load"]
    assert task("1") == ["1", child]
    assert made.events() == ["load", "close", "load"]
    assert task("0") == ["0", mine]
    assert made.events() == ["load", "close", "load", "close", "load"]
    assert not is_running(child)


def test_a_model_that_raises_in_its_own_process_fails_as_it_would_here(task: Task) -> None:
    task("0")
    _, child = task("1")
    with pytest.raises(PredictError) as caught:
        task("1", x=-1)
    assert caught.value.details[0].startswith("builtins.ValueError")
    assert "x is" not in str(caught.value)
    assert task("1") == ["1", child]
    with pytest.raises(RunError, match="on GPU 1 died with exit status 3"):
        task("1", x=-2)


def test_a_model_that_does_not_load_in_its_own_process_is_told_as_elsewhere(recipe: Recipe, tmp_path: Path) -> None:
    spec = replace(recipe.load, backend="sklearn", device="cuda:0", address="1")
    with pytest.raises(ModelLoadError, match="does not load with backend 'sklearn'"):
        ModelProcess(partial(load, spec, tmp_path), threads=1, gone=partial(gone_from_gpu, "1"))


def test_the_process_of_a_model_ends_when_its_worker_is_killed(recipe: Recipe, made: Made) -> None:
    made.log.write_text("")
    program = """
import pickle, sys, time
from spark_infer.runtime.model_process import ModelProcess
ModelProcess(pickle.load(sys.stdin.buffer), threads=1, gone=print)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        spec = replace(recipe.load, device="cuda:0", address="1")
        process.stdin.write(pickle.dumps(partial(load, spec, made.folder)))
        process.stdin.close()
        assert wait_until(lambda: made.events() == ["load"])
        child = made.log.read_text().split()[2]
        assert is_running(child)
        process.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not is_running(child))


def test_a_gpu_that_was_asked_for_and_not_assigned_is_an_error_unless_the_cpu_will_do(task: Task) -> None:
    with pytest.raises(DeviceError, match="Spark assigned none"):
        task(resources=ResourceOptions(gpu=1))
    seen, _ = task(resources=ResourceOptions(gpu=1, allow_cpu_fallback=True))
    assert seen == "None"
