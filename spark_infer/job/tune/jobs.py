"""How fast whole jobs on a sample are: by cores for each task, and by plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spark_infer.config import JobConfig
from spark_infer.config.trigger import NO_STREAM
from spark_infer.engines.base import Engine
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.job.prepare import prepare_job
from spark_infer.job.run import run_job
from spark_infer.job.tune.tuning import Measured
from spark_infer.models.ref import ModelRef
from spark_infer.observe.report import Report

_ROUNDS = 3


def cores_for_each_task(config: JobConfig, model: ModelRef, sample: Path, cores: int) -> list[Measured]:
    """Score a sample in processes of this machine: one core for each, then more.

    What starting a process and loading the model takes is left out: it does not grow with the table.
    """
    choices = [cpus for cpus in (1, 2, 4, 8, 16, 32, 64) if cpus <= cores]
    rates: dict[int, list[float]] = {cpus: [] for cpus in choices}
    for number in range(_ROUNDS):
        for cpus in choices:
            job = _on_sample(config, sample, f"cpus-{cpus}-{number}", cpus=cpus, engine="local")
            report = run_job(prepare_job(LocalEngine(job.resources), job, model=model))
            rates[cpus].append(_rate(report, max(1, report.workers)))
    return [
        Measured(setting="resources.cpus", value=str(cpus), rows_per_second=tuple(each)) for cpus, each in rates.items()
    ]


def planes(engine: Engine[Any], config: JobConfig, model: ModelRef, sample: Path) -> list[Measured]:
    """Score a sample on the job's engine by way of each plane; a first run of each is not counted."""
    rates: dict[str, list[float]] = {"auto": [], "spark": []}
    for number in range(_ROUNDS + 1):
        for plane, each in rates.items():
            job = _on_sample(config, sample, f"{plane}-{number}", plane=plane)
            report = run_job(prepare_job(engine, job, model=model))
            if number:
                each.append(report.rows_scored / report.seconds["score_and_write"])
    return [Measured(setting="plane", value=plane, rows_per_second=tuple(each)) for plane, each in rates.items()]


def _rate(report: Report, workers: int) -> float:
    busy = sum(seconds for step, seconds in report.task_seconds.items() if step != "load")
    return report.rows_scored * workers / max(busy, 1e-9)


def _on_sample(
    config: JobConfig, sample: Path, name: str, *, cpus: int | None = None, plane: str = "auto", engine: str = "spark"
) -> JobConfig:
    """The same job from the sample into a folder beside it."""
    document = config.model_dump()
    document |= {"source": {"path": str(sample)}, "incremental": None, **NO_STREAM}
    kept = {"keep", "output", "model_name_column", "model_version_column", "scored_at_column"}
    document["target"] = {
        **{key: value for key, value in document["target"].items() if key in kept},
        "path": str(sample.parent / name),
        "format": "parquet",
    }
    if config.quarantine is not None:  # measuring adds no rows to it
        document |= {"quarantine": None, "score": {**document["score"], "on_error": "null"}}
    document |= {"aggregate": None, "cache": None}
    if engine == "local":
        document["resources"] = {"cpus": cpus}
    return JobConfig.model_validate({**document, "plane": plane, "engine": engine})
