"""What the parts of a prediction cache cost for each row, in microseconds of the processor, and in memory.

    python -m benchmarks.prediction_cache_parts

No model is asked and no job runs: what a job would have to spare for a cache to pay.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from spark_infer.core.duplicates import Digests, row_digests
from spark_infer.tables.prediction_cache.cached_columns import PARTITIONS, cache_schema
from spark_infer.tables.prediction_cache.index import PredictionIndex
from spark_infer.tables.sink.new_predictions import NewPredictions
from spark_infer.tables.sink.sink_spec import CacheSpec, SinkSpec
from spark_infer.tables.storage import open_storage

Done = TypeVar("Done")

WIDTH = 384
BATCH = 10_000

NUMBER = pa.schema([("prediction", pa.float64())])
EMBEDDING = pa.schema([("prediction", pa.list_(pa.float32()))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=5_000_000, help="predictions of the large cache")
    given = parser.parse_args()
    random = np.random.default_rng(0)
    rows = 10 * BATCH
    features = {f"f{number}": random.normal(size=rows) for number in range(30)}
    texts = {"text": [f"{number} {'word ' * 60}" for number in range(rows)]}
    for name, columns in (("30 doubles", features), ("a text of 300 letters", texts)):
        _timed(f"digest of {name}", rows, partial(row_digests, pa.RecordBatch.from_pydict(columns)))
    digests = random.integers(0, 2**63, (given.keys, 2)).astype(np.uint64)
    with tempfile.TemporaryDirectory(prefix="spark_infer-cache-") as name:
        for title, some, outputs in (
            ("an embedding", digests[: 2 * BATCH], EMBEDDING),
            ("a double", digests, NUMBER),
        ):
            folder = Path(name) / title
            folder.mkdir()
            _cache(title, folder, some, outputs, random)


def _cache(title: str, folder: Path, digests: Digests, outputs: pa.Schema, random: np.random.Generator) -> None:
    paths = _timed(f"keep {title}", len(digests), lambda: _written(folder, digests, outputs))
    stored = sum(file.stat().st_size for file in folder.rglob("*.parquet"))
    print(f"  {stored / len(digests):,.0f} bytes each in the cache")
    storage = open_storage(f"file://{folder}")
    if storage is None:
        raise SystemExit(f"{folder} cannot be opened")
    before = _resident()
    index = _timed(f"list {title}", len(digests), lambda: PredictionIndex(storage, paths, outputs))
    print(f"  the process has {_resident() - before:,.0f} MiB more with a list of {len(index):,}")
    for order, asked in (("in order", digests[:BATCH]), ("at random", random.permutation(digests)[:BATCH])):
        known, _ = _timed(f"find {title} {order}", BATCH, partial(index.find, asked))
        if not known.all():
            raise SystemExit("predictions are lost")


def _written(folder: Path, digests: Digests, outputs: pa.Schema) -> list[str]:
    schema, constants = cache_schema(outputs), {"model_name": "m", "model_version": "1", "cached_at": None}
    partition_by = tuple(PARTITIONS.names)
    sink = SinkSpec(uri=f"file://{folder}", run_id="r", schema=schema, constants=constants, partition_by=partition_by)
    new = NewPredictions(CacheSpec(sink=sink, uri=sink.uri, scoring="s", digest="d", files=(), outputs=outputs), 0)
    answers = _answers(outputs)
    for start in range(0, len(digests), BATCH):
        some = digests[start : start + BATCH]
        new.add(some, answers.slice(0, len(some)))
    return [file.path for file in new.close()]


def _answers(outputs: pa.Schema) -> pa.RecordBatch:
    numbers = np.random.default_rng(1).normal(size=BATCH * WIDTH)
    values = pa.array(numbers[:BATCH])
    if outputs == EMBEDDING:
        ends = np.arange(0, BATCH * WIDTH + 1, WIDTH, dtype=np.int32)
        values = pa.ListArray.from_arrays(ends, pa.array(numbers.astype(np.float32)))
    return pa.RecordBatch.from_arrays([values], schema=outputs)


def _timed(title: str, rows: int, work: Callable[[], Done]) -> Done:
    start = time.process_time()
    done = work()
    print(f"{title:<32}{(time.process_time() - start) / rows * 1e6:8.2f} µs a row")
    return done


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
