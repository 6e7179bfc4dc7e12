"""What a model host costs: a model that does next to nothing, in the worker and in the host of its executor.

One process scores float columns that lie in memory, by the whole path of a worker. The ways take turns, and the ratio
is the median of those of the rounds. Worker and host take turns too, so seconds of the processor, of both together, say
what a quiet machine would need; those of the clock also count what else runs on this one.

Run `python -m benchmarks.model_host`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
from mlflow.models import infer_signature
from sklearn.dummy import DummyRegressor

from spark_infer.config import ScoreOptions
from spark_infer.models.files.store import ModelStore
from spark_infer.models.hosting import Hosting
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.process_identity import ProcessIdentity

COLUMNS = 40


def main() -> None:
    """Measure and print rows a second of both ways, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--batch-rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(1)
        batch = pa.record_batch({f"c{index}": rng.random(asked.batch_rows) for index in range(COLUMNS)})
        recipe, files = _prepared(Path(folder), batch, asked.batch_rows)
        hosted = replace(recipe, hosting=Hosting(threads=1, required=True))
        batches = [batch] * (asked.rows // asked.batch_rows)
        found: dict[str, list[tuple[float, float]]] = {"worker": [], "executor": []}
        ways = {"worker": recipe, "executor": hosted}
        answers = {name: _score(each, files, batches[:2])[1] for name, each in ways.items()}  # loads, too
        assert answers["worker"].equals(answers["executor"])
        for _ in range(asked.rounds):
            for name, each in ways.items():
                found[name].append(_score(each, files, batches)[0])
    for kind, place in (("clock", 0), ("processor", 1)):
        rates = {name: [each[place] for each in rounds] for name, rounds in found.items()}
        for name, measured in rates.items():
            print(f"{kind:<11}{name:<10}{statistics.median(measured):>14,.0f} rows/s")
        ratios = sorted(there / here for here, there in zip(*rates.values(), strict=True))
        print(f"{kind:<11}{'ratio':<10}{statistics.median(ratios):>14.2f} [{ratios[0]:.2f}..{ratios[-1]:.2f}]")


def _prepared(folder: Path, batch: pa.RecordBatch, rows: int) -> tuple[Recipe, Path]:
    frame = batch.slice(0, 10).to_pandas()
    model = DummyRegressor().fit(frame, np.arange(10.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            model,
            folder / "model",
            signature=infer_signature(frame, model.predict(frame)),
            pip_requirements=["scikit-learn"],
        )
    store = ModelStore(folder / "store")
    ref = resolve(str(folder / "model"), tracking_uri=None, registry_uri=None, store=store)
    files = store.path(ref.digest)
    options = ScoreOptions(batch_size=rows)
    return make_recipe(
        ref, batch.schema, options, folder=files, load_model=lambda spec: NotImplemented, keep=["c0"]
    ), files


def _score(recipe: Recipe, files: Path, batches: list[pa.RecordBatch]) -> tuple[tuple[float, float], pa.Table]:
    """Return rows a second of the clock and of the processor, and the predictions."""
    assigned = Assignment(cpus=1, executor=ProcessIdentity.own())
    began, used = time.perf_counter(), time.process_time() + _host_seconds()
    scored = list(score_table_batches(recipe, lambda: files, batches, assigned))
    seconds, processor = time.perf_counter() - began, time.process_time() + _host_seconds() - used
    rows = sum(each.num_rows for each in scored)
    return (rows / seconds, rows / processor), pa.Table.from_batches(scored)


def _host_seconds() -> float:
    """Seconds of the processor that hosts of this process have used."""
    found = 0.0
    for folder in Path("/proc").iterdir():
        command = folder / "cmdline"
        if folder.name.isdigit() and f"host_process\0{os.getpid()}\0" in command.read_text():
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


if __name__ == "__main__":
    main()
