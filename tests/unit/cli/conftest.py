"""A command line without Spark: the session and the job are stand-ins, everything else is real."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import spark_infer
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
        started_at=datetime(2025, 1, 1, tzinfo=UTC),
        seconds={"score_and_write": 1.0, "total": 2.0},
    )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()

    def start_session(config: object, **given: Any) -> Session:
        stage.started.append({"config": config, **given})
        return Session(stage)

    class Job:
        def __init__(self, config: JobConfig) -> None:
            stage.config = config

        def _act(self) -> JobConfig:
            assert stage.config is not None
            if stage.fails is not None:
                raise stage.fails
            return stage.config

        def plan(self, spark: Session, *, new_run: bool = False, load: bool = True) -> CheckedPlan:
            stage.new_runs.append(new_run)
            stage.loads.append(load)
            return CheckedPlan(self._act())

        def run(
            self, spark: Session, on_progress: Callable[[Progress], None] | None = None, *, new_run: bool = False
        ) -> Report:
            stage.new_runs.append(new_run)
            if on_progress is not None:
                on_progress(Progress(1, 2, 10, 1.0))
            return report_of(self._act())

    sessions = ModuleType("spark_infer.spark.session")
    sessions.start_session = start_session  # type: ignore[attr-defined]
    sessions.running_session = lambda: Session(stage) if stage.runs_before else None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spark_infer.spark.session", sessions)
    monkeypatch.setitem(vars(spark_infer), "ScoringJob", Job)
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
