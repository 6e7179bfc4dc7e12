"""What safety costs on W1: the seconds of a run that go into its ledger, its checks and its read-backs.

    python -m benchmarks.safety [--rounds 5] [--work FOLDER]

Each of these steps is timed while a run on Spark does it; nothing else of the run changes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.options import WORK, silence_mlflow
from spark_infer.job.units import run_units as run_module
from spark_infer.job.units import start as start_module
from spark_infer.tables.delta import publish as delta_publish
from spark_infer.tables.ledger.ledger import Ledger
from spark_infer.tables.parquet import publish as parquet_publish

ROWS = 5_000_000

_STEPS: list[tuple[Any, str]] = [
    (start_module, "find_run"),
    (run_module, "begin"),
    (run_module, "check_files"),
    (Ledger, "seal"),
    (parquet_publish, "settle"),
    (delta_publish, "settle"),
    (run_module, "conclude"),
]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.safety")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path, default=Path(WORK))
    options = parser.parse_args(arguments)
    silence_mlflow()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    from benchmarks.workloads.catalog import make_workload
    from spark_infer import score_table

    workload = make_workload("W1", options.work.resolve(), options.rows)
    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    target = options.work.resolve() / "safety"
    spent = {name: 0.0 for _, name in _STEPS}
    for where, name in _STEPS:
        setattr(where, name, _timed(getattr(where, name), spent, name))
    shares = []
    for number in range(options.rounds + 2):  # two rounds warm up
        for folder in (target, target.with_name(".safety.spark_infer")):
            shutil.rmtree(folder, ignore_errors=True)
        spent.update(dict.fromkeys(spent, 0.0))
        begin = time.perf_counter()
        score_table(
            spark,
            source=str(workload.paths()[0].parent),
            target={"path": str(target), "keep": list(workload.keep)},
            model={"uri": workload.model_uri, "tracking_uri": workload.tracking_uri},
        )
        whole_seconds = time.perf_counter() - begin
        if number > 1:
            shares.append(sum(spent.values()) / whole_seconds)
            steps = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in spent.items() if seconds)
            print(f"{whole_seconds:.2f} s, of which {shares[-1]:.1%} for safety: {steps}", flush=True)
    print(f"median {statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})")
    spark.stop()


def _timed(work: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    def timed(*args: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        try:
            return work(*args, **named)
        finally:
            spent[name] += time.perf_counter() - begin

    return timed


if __name__ == "__main__":
    main()
