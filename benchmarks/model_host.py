"""What a model host costs and brings: the same rows by the whole path of a worker, with the model there and in a host.

- `numbers`: a model that does next to nothing, 40 doubles in a row: what the way to the host and back costs.
- `texts`: MiniLM, in batches by tokens: the same for a model that is worth a host.
- `images`: a large JPEG in a row and a small network: two workers decode for one model, beside one task that does both.

Rows lie in memory, and models are loaded before anything is timed. The ways take turns, and the ratio is the median of
those of the rounds. Seconds of the clock also count what else runs on this machine; those of the processor say what a
quiet one would need: of one worker and its host together, which take turns, and of workers side by side those of the
busiest process, or all of them over the cores, whichever is more.

Run `python -m benchmarks.model_host [numbers|texts|images]`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.config import ScoreOptions
from spark_infer.models.files.store import ModelStore
from spark_infer.models.hosting import Hosting
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.runtime.process_identity import ProcessIdentity

COLUMNS, SIDE = 40, 32
CORES = 2
BOUND = 1e-6
"""How far predictions of the two ways may differ: sums are made in another order for other batches."""


@dataclass(frozen=True)
class Scoring:
    """A model and rows for it."""

    recipe: Recipe
    files: Path
    batches: list[pa.RecordBatch]


def main() -> None:
    """Measure and print rows a second of both ways, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", nargs="?", choices=sorted(MADE), default="numbers")
    parser.add_argument("--rows", type=int, help="rows of a round; 1,000,000 numbers, 1,000 texts, 400 images")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scoring = MADE[asked.workload](Path(folder), asked.rows)
        measure = _decoders if asked.workload == "images" else _turns
        for kind, rates in measure(scoring, asked.rounds).items():
            for name, measured in rates.items():
                print(f"{kind:<11}{name:<10}{statistics.median(measured):>14,.0f} rows/s")
            ratios = sorted(there / here for here, there in zip(rates["worker"], rates["executor"], strict=True))
            print(f"{kind:<11}{'ratio':<10}{statistics.median(ratios):>14.2f} [{ratios[0]:.2f}..{ratios[-1]:.2f}]")


def _turns(scoring: Scoring, rounds: int) -> dict[str, dict[str, list[float]]]:
    """One worker with the model, and one with a host, in turns."""
    hosted = replace(scoring, recipe=replace(scoring.recipe, hosting=Hosting(threads=1, required=True)))
    ways = {"worker": scoring, "executor": hosted}
    found: dict[str, dict[str, list[float]]] = {kind: {way: [] for way in ways} for kind in ("clock", "processor")}
    answers = {name: _score(replace(each, batches=each.batches[:2]))[1] for name, each in ways.items()}  # loads, too
    _require_same(answers)
    for _ in range(rounds):
        for name, each in ways.items():
            rates, _answers = _score(each)
            for kind, rate in rates.items():
                found[kind][name].append(rate)
    return found


def _score(scoring: Scoring) -> tuple[dict[str, float], pa.Table]:
    """Return rows a second of the clock and of the processor, and the predictions."""
    began, used = time.perf_counter(), time.process_time() + _host_seconds()
    scored = list(_scored(scoring, ProcessIdentity.own(), cpus=1))
    seconds, processor = time.perf_counter() - began, time.process_time() + _host_seconds() - used
    rows = sum(each.num_rows for each in scored)
    return {"clock": rows / seconds, "processor": rows / processor}, pa.Table.from_batches(scored)


def _scored(scoring: Scoring, executor: ProcessIdentity, cpus: int) -> Any:
    assigned = Assignment(cpus=cpus, executor=executor)
    return score_table_batches(scoring.recipe, lambda: scoring.files, scoring.batches, assigned)


def _host_seconds() -> float:
    """Seconds of the processor that hosts of this process have used."""
    found = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended since
            if f"host_process\0{os.getpid()}\0" in (folder / "cmdline").read_text():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _decoders(scoring: Scoring, rounds: int) -> dict[str, dict[str, list[float]]]:
    """One task with the model and all cores, and a task for each core with a host."""
    hosted = replace(scoring.recipe, hosting=Hosting(threads=CORES, required=True))
    parts = [scoring.batches[number::CORES] for number in range(CORES)]
    ways = {
        "worker": ([scoring], CORES),
        "executor": ([replace(scoring, recipe=hosted, batches=each) for each in parts], 1),
    }
    found: dict[str, dict[str, list[float]]] = {kind: {way: [] for way in ways} for kind in ("clock", "processor")}
    for _ in range(rounds):
        answers = {}
        for name, (each, cpus) in ways.items():
            rates, answers[name] = _side_by_side(each, cpus)
            for kind, rate in rates.items():
                found[kind][name].append(rate)
        _require_same(answers)
    return found


def _side_by_side(parts: list[Scoring], cpus: int) -> tuple[dict[str, float], pa.Table]:
    """Score each part in a process of its own, all at once; rows a second, without starts and loads."""
    context = get_context("spawn")
    ready, told = context.Barrier(len(parts) + 1), context.Queue()
    executor = ProcessIdentity.own()
    processes = [context.Process(target=_feed, args=(each, executor, cpus, ready, told)) for each in parts]
    for process in processes:
        process.start()
    ready.wait()
    used = _host_seconds()
    found = [told.get() for _ in processes]
    busy = [_host_seconds() - used, *(processor for _, processor, _ in found)]
    for process in processes:
        process.join()
    table = pa.concat_tables([answers for *_, answers in found]).sort_by("id")
    clock = max(seconds for seconds, *_ in found)
    return {"clock": table.num_rows / clock, "processor": table.num_rows / max(*busy, sum(busy) / CORES)}, table


def _feed(scoring: Scoring, executor: ProcessIdentity, cpus: int, ready: Any, told: Any) -> None:
    list(_scored(replace(scoring, batches=scoring.batches[:1]), executor, cpus))
    ready.wait()
    began, used = time.perf_counter(), time.process_time()
    scored = list(_scored(scoring, executor, cpus))
    told.put((time.perf_counter() - began, time.process_time() - used, pa.Table.from_batches(scored)))


def _require_same(answers: Mapping[str, pa.Table]) -> None:
    here, there = (_numbers(each["prediction"]) for each in answers.values())
    if here.shape != there.shape or np.abs(here - there).max() > BOUND:
        raise SystemExit("the ways differ")


def _numbers(column: pa.ChunkedArray) -> Any:
    values = column.combine_chunks()
    return (values.flatten() if pa.types.is_nested(values.type) else values).to_numpy(zero_copy_only=False)


def _numbers_of(folder: Path, rows: int | None) -> Scoring:
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.dummy import DummyRegressor

    rng, size = np.random.default_rng(1), 10_000
    batch = pa.record_batch({f"c{index}": rng.random(size) for index in range(COLUMNS)})
    frame = batch.slice(0, 10).to_pandas()
    model = DummyRegressor().fit(frame, np.arange(10.0))
    signature = infer_signature(frame, model.predict(frame))
    mlflow.sklearn.save_model(model, folder / "model", signature=signature, pip_requirements=["scikit-learn"])
    options = ScoreOptions(batch_size=size)
    return _prepared(folder, [batch] * ((rows or 1_000_000) // size), "c0", options)


def _texts(folder: Path, rows: int | None) -> Scoring:
    import pyarrow.parquet as pq

    from benchmarks.embeddings import make

    _, source = make(folder, rows or 1_000)
    batches = pq.read_table(source).combine_chunks().to_batches(max_chunksize=250)
    return _prepared(folder, batches, "id", ScoreOptions(inputs=["text"]))


def _images(folder: Path, rows: int | None) -> Scoring:
    import io

    import mlflow
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec
    from PIL import Image
    from sklearn.datasets import load_sample_images

    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 16, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(1)]
    network = torch.nn.Sequential(*layers)
    network(torch.zeros(1, 3, SIDE, SIDE))
    floats = np.dtype("float32")
    signature = ModelSignature(Schema([TensorSpec(floats, (-1, 3, SIDE, SIDE))]), Schema([TensorSpec(floats, (-1, 1))]))
    how = {"signature": signature, "pip_requirements": ["torch"], "serialization_format": "pickle"}
    mlflow.pytorch.save_model(network, folder / "model", **how)
    files = []
    for picture in load_sample_images().images:
        with io.BytesIO() as file:
            Image.fromarray(picture).save(file, "JPEG", quality=90)
            files.append(file.getvalue())
    count = rows or 400
    table = pa.table({"id": np.arange(count), "content": [files[row % len(files)] for row in range(count)]})
    decode = {"image": {"size": SIDE, "output": "image"}}
    options = ScoreOptions.model_validate({"decode": decode, "inputs": ["image"], "batch_size": 20})
    return _prepared(folder, table.to_batches(max_chunksize=20), "id", options)


MADE: Mapping[str, Callable[[Path, int | None], Scoring]] = {
    "images": _images,
    "numbers": _numbers_of,
    "texts": _texts,
}


def _prepared(folder: Path, batches: list[pa.RecordBatch], keep: str, options: ScoreOptions) -> Scoring:
    store = ModelStore(folder / "store")
    ref = resolve(str(folder / "model"), tracking_uri=None, registry_uri=None, store=store)
    files = store.path(ref.digest)
    return Scoring(
        make_recipe(ref, batches[0].schema, options, folder=files, load_model=lambda spec: NotImplemented, keep=[keep]),
        files,
        batches,
    )


if __name__ == "__main__":
    main()
