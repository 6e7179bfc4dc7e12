"""The limits: what the machine can do with the model, and without Spark, Ray or Daft."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.worker import load_once, score_batch, to_input
from benchmarks.workload import Workload


def limit(pool: ProcessPoolExecutor, workload: Workload, target: Path) -> None:
    """The limit of a job (L2): pyarrow reads, the model predicts, pyarrow writes, in as many processes as cores."""
    target.mkdir()
    for task in [pool.submit(_score_file, path, target / path.name, workload) for path in workload.paths()]:
        task.result()


def model_alone(pool: ProcessPoolExecutor, workload: Workload, target: Path) -> None:
    """The model alone (L1): it predicts as many rows, in as many processes, on arrays that lie in memory."""
    for task in [pool.submit(_predict_in_memory, path, workload) for path in workload.paths()]:
        task.result()


def _score_file(source: Path, target: Path, workload: Workload) -> None:
    """Read, score and write one Parquet file on one thread."""
    with pq.ParquetFile(source) as file:
        batches = file.iter_batches(workload.batch_rows, columns=workload.columns, use_threads=False)
        scored = pa.Table.from_batches([score_batch(batch, workload) for batch in batches])
    # Ids and random doubles never repeat: a dictionary would only be built to be thrown away.
    repeating = [*_text_columns(scored), *(name for name, _ in workload.outputs)]
    pq.write_table(scored, target, compression="snappy", use_dictionary=repeating)


def _text_columns(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_string(field.type)]


@cache
def _inputs(source: Path, workload: Workload) -> list[Any]:
    with pq.ParquetFile(source) as file:
        batches = file.iter_batches(workload.batch_rows, columns=list(workload.features))
        return [to_input(batch, workload) for batch in batches]


_kept: dict[Workload, Path] = {}


def _predict_in_memory(source: Path, workload: Workload) -> None:
    """Predict as many rows as a file has, on the first file that this process met; it is read once and kept."""
    predict = load_once(workload)
    for values in _inputs(_kept.setdefault(workload, source), workload):
        predict(values)
