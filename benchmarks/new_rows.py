"""What an incremental run costs: 1 % new rows of a Delta table, against scoring all of it, on engine `local`.

python -m benchmarks.new_rows [--rows 10000000] [--trees 100] [--rounds 3] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestRegressor

from benchmarks.options import WORK, silence_mlflow
from spark_infer import Report, ScoringJob
from spark_infer.config import JobConfig

COLUMNS, FILE_ROWS = 10, 250_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.new_rows")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(WORK))
    options = parser.parse_args(arguments)
    silence_mlflow()
    folder = (options.work / "new_rows").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _save_model(folder / "model", options.trees)
    _append(folder / "in", 0, options.rows)
    full = _run(folder)
    shares = []
    for number in range(options.rounds):
        _append(folder / "in", options.rows * (100 + number) // 100, options.rows // 100)
        new = _run(folder)
        shares.append(new.seconds["total"] / full.seconds["total"])
        print(f"{new.rows_scored:,} new rows: {new.seconds['total']:.2f} s, {shares[-1]:.1%} of all", flush=True)
    nothing = _run(folder)
    share, least = statistics.median(shares), nothing.seconds["total"]
    print(f"all {full.rows_scored:,} rows: {full.seconds['total']:.1f} s; 1 % of them new: {share:.1%} of that")
    print(f"nothing new: {least:.2f} s")


def _save_model(folder: Path, trees: int) -> None:
    random = np.random.default_rng(1)
    rows = pd.DataFrame(random.random((5_000, COLUMNS)), columns=[f"x{number}" for number in range(COLUMNS)])
    model = RandomForestRegressor(trees, max_depth=12, n_jobs=1).fit(rows, rows.sum(axis=1))
    signature = infer_signature(rows, model.predict(rows))
    mlflow.sklearn.save_model(model, folder, signature=signature, serialization_format="cloudpickle")


def _append(folder: Path, first: int, count: int) -> None:
    random = np.random.default_rng(first)
    for begin in range(first, first + count, FILE_ROWS):
        size = min(FILE_ROWS, first + count - begin)
        columns = {f"x{number}": random.random(size) for number in range(COLUMNS)}
        write_deltalake(folder, pa.table({"id": np.arange(begin, begin + size), **columns}), mode="append")


def _run(folder: Path) -> Report:
    document = {
        "model": {"uri": str(folder / "model")},
        "source": {"path": str(folder / "in")},
        "target": {"path": str(folder / "out"), "mode": "append", "keep": ["id"]},
        "incremental": True,
        "engine": "local",
    }
    return ScoringJob(JobConfig.model_validate(document)).run()


if __name__ == "__main__":
    main()
