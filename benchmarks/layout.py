"""Where a model's blocks lie: what predict takes where a forked worker loaded a LightGBM model as it comes, or apart.

    python -m benchmarks.layout [--trees 500] [--rounds 5] [--workers 4]

Each worker is forked from a process that has imported what Spark's daemon of Python workers has, loads one model by the
native backend's own lines, and predicts the same 10,000 rows in each round. Workers of both kinds take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from spark_infer.runtime.memory import in_own_memory, keep_freed_memory

ROWS, COLUMNS, LEAVES = 10_000, 50, 63


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the medians, and what lying apart is worth."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layout")
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4, help="of each kind")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    spawned, forked = get_context("spawn"), get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.txt"
        # Trained elsewhere: this process shall be what Spark's daemon is.
        trainer = spawned.Process(target=train, args=(model, options.trees))
        trainer.start()
        trainer.join()
        import pyarrow  # noqa: F401
        import pyspark.worker  # noqa: F401

        found: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(options.workers):
            for apart in found:
                with forked.Pool(1) as worker:
                    found[apart] += worker.apply(predict, (model, options.rounds, apart))
    for apart, seconds in found.items():
        name = "in memory of its own" if apart else "as it comes"
        print(f"{name:<22}{statistics.median(seconds):.4f} s  ({min(seconds):.4f} to {max(seconds):.4f})")
    ratio = statistics.median(found[False]) / statistics.median(found[True])
    print(f"as it comes, a predict takes {ratio - 1:+.1%}")


def train(path: Path, trees: int) -> None:
    """Train a booster on made-up rows and save it."""
    import lightgbm

    rows = numbers()
    label = rows[:, 0] * rows[:, 1] + rows[:, 2] + np.random.default_rng(1).normal(size=ROWS) > 0
    settings = {"objective": "binary", "verbosity": -1, "num_leaves": LEAVES}
    lightgbm.train(settings, lightgbm.Dataset(rows, label), trees).save_model(path)


def predict(path: Path, rounds: int, apart: bool) -> list[float]:
    """Load the model in this process, and return the CPU-seconds of each round."""
    keep_freed_memory()
    from lightgbm import Booster

    load: Any = partial(Booster, model_file=path)
    booster, rows, seconds = in_own_memory(load) if apart else load(), numbers(), []
    for _ in range(rounds):
        start = time.process_time()
        booster.predict(rows, num_threads=1)
        seconds.append(time.process_time() - start)
    return seconds


def numbers() -> np.ndarray[Any, Any]:
    """The rows, column by column in memory."""
    return np.asfortranarray(np.random.default_rng(0).normal(size=(ROWS, COLUMNS)))


if __name__ == "__main__":
    main()
