"""Ten thousand units: how long a run takes to plan, to take up again, and to finish, on engine `local`.

python -m benchmarks.units [--units 10000] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.options import WORK, silence_mlflow
from benchmarks.planning import links, make_model
from spark_infer.config import JobConfig
from spark_infer.engines.local.engine import LocalEngine
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.job.prepare import prepare_job
from spark_infer.job.run import run_job
from spark_infer.runtime.failpoints import Failpoints, InjectedError
from spark_infer.runtime.process_state import this_process

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.units")
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--work", type=Path, default=Path(WORK))
    options = parser.parse_args(arguments)
    silence_mlflow()
    os.environ["SPARK_INFER_TESTING"] = "1"
    folder = (options.work / "units").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = make_model(folder / "model")
    links(folder / "in", options.units)
    for kind in ("delta", "parquet"):
        _measure(folder, model, kind, options.units)


def _measure(folder: Path, model: str, kind: str, units: int) -> None:
    document = {
        "model": {"uri": model},
        "source": {"path": str(folder / "in")},
        "target": {"path": str(folder / kind), "format": kind},
        "units": {"bytes": 1},
        "engine": "local",
    }
    config = JobConfig.model_validate(document)
    engine = LocalEngine(config.resources)
    prepare_job(engine, config)  # the model is loaded, caches warm
    planned, job = _timed(lambda: prepare_job(engine, config))
    left = 10
    whole = this_process().failpoints
    this_process().failpoints = Failpoints(f"sealed:{units - left}:raise", {"SPARK_INFER_TESTING": "1"})
    scored, _ = _timed(lambda: _broken(job))
    this_process().failpoints = whole
    taken_up, job = _timed(lambda: prepare_job(engine, config))
    read, _ = _timed(lambda: job.start and job.start.found.ledger.all_sealed())
    finished, report = _timed(lambda: run_job(job))
    print(
        f"{kind:8} {report.units:,} units: planned in {planned:.2f} s; scored in {scored:.0f} s; taken up again in "
        f"{taken_up + read:.2f} s with {report.units_before:,} done; the last {left} and the end in {finished:.1f} s",
        flush=True,
    )


def _broken(job: PreparedJob) -> None:
    try:
        run_job(job)
    except InjectedError:
        return
    raise SystemExit("the run was not broken")


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    begin = time.perf_counter()
    found = work()
    return time.perf_counter() - begin, found


if __name__ == "__main__":
    main()
