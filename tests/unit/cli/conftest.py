"""A command line without Spark: the session and what a job does are stand-ins, everything else is real."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from spark_infer.cli.main import app
from spark_infer.config import JobConfig
from spark_infer.observe.progress import Progress
from spark_infer.observe.report import Report

JOB = (
    "name: nightly\nmodel: models:/m@best\nsource: {path: in, format: parquet}\ntarget: {path: out, format: parquet}\n"
)


@dataclass
class Stage:
    """What the stand-ins were asked for, and what they shall do."""

    started: list[dict[str, Any]] = field(default_factory=list)
    jvm_started: threading.Event = field(default_factory=threading.Event)
    stopped: int = 0
    runs_before: bool = False
    config: JobConfig | None = None
    fails: BaseException | None = None
    new_runs: list[bool] = field(default_factory=list)
    loads: list[bool] = field(default_factory=list)
    looked_for: list[JobConfig] = field(default_factory=list)


class Session:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def stop(self) -> None:
        self.stage.stopped += 1


class StartedEngine:
    """An engine that waits for its session at once."""

    def __init__(self, session: Future[Session], resources: object) -> None:
        session.result()


class CheckedPlan:
    """A plan with the text and the facts that the config gives it."""

    def __init__(self, config: JobConfig) -> None:
        self.source = config.source.name

    def __str__(self) -> str:
        return f"nightly: nothing has run\n\n  source  {self.source}"

    def to_dict(self) -> dict[str, object]:
        return {"source": self.source}


def report_of(config: JobConfig) -> Report:
    return Report(
        job=config.name,
        run_id="r1",
        model_uri=config.model.uri,
        model_name="m",
        model_version="7",
        model_digest="cd" * 32,
        backend="sklearn",
        source=config.source.name,
        target=config.target.name,
        mode=config.target.mode,
        rows_read=10,
        rows_scored=10,
        files_written=1,
        bytes_written=100,
        started_at=datetime(2025, 1, 1, tzinfo=timezone.utc),
        seconds={"score_and_write": 1.0, "total": 2.0},
    )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()

    def start_session(config: object, **given: Any) -> Session:
        stage.jvm_started.set()
        given.pop("go_on")()
        stage.started.append({"config": config, **given})
        return Session(stage)

    def prepare_job(engine: object, config: JobConfig, *, new_run: bool = False, loads: bool = True) -> JobConfig:
        stage.config = config
        stage.new_runs.append(new_run)
        stage.loads.append(loads)
        if stage.fails is not None:
            raise stage.fails
        return config

    def run_job(config: JobConfig, *, on_progress: Callable[[Progress], None] | None = None) -> Report:
        if on_progress is not None:
            on_progress(Progress(1, 2, 10, 1.0))
        return report_of(config)

    def stand_in(module: str, **names: object) -> None:
        stand = ModuleType(module)
        vars(stand).update(names)
        monkeypatch.setitem(sys.modules, module, stand)

    stand_in("spark_infer.spark.session", start_session=start_session, has_session=lambda: stage.runs_before)
    stand_in("spark_infer.engines.spark.engine", SparkEngine=StartedEngine)
    stand_in("spark_infer.job.prepare", prepare_job=prepare_job)
    stand_in("spark_infer.job.run", run_job=run_job)
    stand_in("spark_infer.job.describe", plan_of=CheckedPlan)
    monkeypatch.setattr("spark_infer.job.session.find_model", stage.looked_for.append)
    return stage


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run `spark-infer` in this process, with its state folder below the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_CONFIGURE_LOGGING", "false")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="spark-infer")

    yield invoke
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
