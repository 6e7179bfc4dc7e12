"""What reading and decoding ahead of the model brings: one task on two cores, with `prefetch: auto` and `off` in turn.

    python -m benchmarks.prefetch [--workload W8] [--rows 1000] [--rounds 7] [--storage 20]

Everything runs in this process, without Spark. `--storage` simulates a store that gives so many MB a second; what was
slept for it is not computed meanwhile. Both ways must write the same bytes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.encoded import DECODE
from benchmarks.options import CORES, WORK, silence_mlflow
from benchmarks.ratios import spread
from benchmarks.workload import Workload
from benchmarks.workloads.catalog import SPECS, make_workload
from spark_infer.config import ScoreOptions
from spark_infer.core.stats import Stats
from spark_infer.models.backends import load
from spark_infer.models.files.store import ModelStore
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask

BATCH_ROWS = 100


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=SPECS, default="W8")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--storage", type=float, metavar="MB", help="MB a second that a simulated store gives")
    parser.add_argument("--work", type=Path, default=Path(WORK))
    given = parser.parse_args(arguments)
    silence_mlflow()
    work = given.work.resolve()
    workload = make_workload(given.workload, work, given.rows)
    store = ModelStore(work / "prefetch-store")
    ways = {way: partial(_score, _recipe(workload, store, way), store, workload, given.storage) for way in WAYS}
    answers = {way: score()[2] for way, score in ways.items()}
    if not answers["auto"].equals(answers["off"]):
        raise SystemExit("the ways answer otherwise")
    found: list[dict[str, tuple[float, float]]] = []
    for number in range(given.rounds):
        order = WAYS if number % 2 else WAYS[::-1]
        found.append({way: ways[way]()[:2] for way in order})
    ratio, cpu = (spread([each["off"][at] / each["auto"][at] for each in found]) for at in (0, 1))
    auto, off = (spread([each[way][0] for each in found]).median for way in WAYS)
    print(f"{given.workload}, {given.rows:,} rows, one task on {CORES} cores: off {off:.2f} s, auto {auto:.2f} s")
    print(f"auto is {ratio.median:.2f} [{ratio.low:.2f}..{ratio.high:.2f}] times as fast, {given.rounds} rounds")
    print(f"of the processor it takes {1 / cpu.median:.2f} [{1 / cpu.high:.2f}..{1 / cpu.low:.2f}] times the seconds")


WAYS = ("auto", "off")


def _recipe(workload: Workload, store: ModelStore, prefetch: str) -> Recipe:
    ref = resolve(workload.model_folder, tracking_uri=None, registry_uri=None, store=store)
    files = store.path(ref.digest)
    options: dict[str, Any] = {"prefetch": prefetch, "decode": DECODE.get(workload.feeds), "batch_size": BATCH_ROWS}
    if workload.feeds in DECODE or workload.feeds == "tensor":
        options["inputs"] = list(workload.features)
    return make_recipe(
        ref,
        pq.read_schema(workload.paths()[0]),
        ScoreOptions(**options),
        folder=files,
        load_model=lambda spec: load(spec, files),
        keep=list(workload.keep),
        threads=CORES,
    )


def _score(
    recipe: Recipe, store: ModelStore, workload: Workload, storage: float | None
) -> tuple[float, float, pa.Table]:
    """Score all rows; return the seconds, those of the processor, and the answers."""
    files = store.path(recipe.ref.digest)
    schema = pa.schema([(name, pq.read_schema(workload.paths()[0]).field(name).type) for name in workload.columns])
    scan = Scan(uri=f"file://{workload.source}", schema=schema, batch_rows=BATCH_ROWS)
    task = ScanTask(0, tuple(Piece(path.name, path.stat().st_size) for path in workload.paths()))
    start, used = time.perf_counter(), time.process_time()
    rows = _slow(read_task(task, scan, threads=CORES), storage)
    scored = score_table_batches(recipe, lambda: files, rows, Assignment(cpus=CORES), stats=Stats())
    table = pa.Table.from_batches(scored)
    return time.perf_counter() - start, time.process_time() - used, table


def _slow(batches: Iterator[pa.RecordBatch], storage: float | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if storage is not None:
            time.sleep(batch.nbytes / (storage * 1e6))
        yield batch


if __name__ == "__main__":
    main()
