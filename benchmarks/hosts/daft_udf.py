"""The host of Daft, in a virtual environment of its own; Daft's native runner works in this process.

Two ways, because neither is always the faster: a class in threads, with the model kept in this process, and the same in
processes of their own, which start and load the model again with every job.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import daft
import pyarrow as pa

from benchmarks.hosts.protocol import serve, take_output
from benchmarks.worker import load_once, predict_arrow
from benchmarks.workload import Workload

TYPES = {
    "long": daft.DataType.int64(),
    "float": daft.DataType.float32(),
    "double": daft.DataType.float64(),
    "string": daft.DataType.string(),
}


def score(cores: int, workload: Workload, target: Path, *, processes: bool) -> None:
    """Score with a class, in Daft's threads or in as many processes as cores."""
    scorer = _scorer(workload)
    # A bound on concurrency makes a pool of processes, whatever `use_process` says; without one, threads call it.
    pool = {"max_concurrency": cores, "use_process": True} if processes else {"use_process": False}
    instance = daft.cls(scorer, **pool)(workload)
    source = daft.read_parquet(f"{workload.source}/*.parquet").select(*workload.columns)
    features = [daft.col(name) for name in workload.features]
    scored = source.select(*workload.keep, instance.score(*features))
    scored.write_parquet(str(target))


def _scorer(workload: Workload) -> type:
    """Make the class; what it returns is part of the decorator, so each workload has its own."""

    class Scorer:
        def __init__(self, workload: Workload) -> None:
            self._workload = workload
            load_once(workload)

        def score(self, *columns: daft.Series) -> Any:
            arrays = [column.to_arrow() for column in columns]
            batch = pa.RecordBatch.from_arrays(arrays, names=list(self._workload.features))
            answers = predict_arrow(batch, self._workload)
            return pa.StructArray.from_arrays(list(answers.values()), names=list(answers))

    returned = daft.DataType.struct({name: _type(kind) for name, kind in workload.outputs})
    decorate = daft.method.batch(return_dtype=returned, unnest=True, batch_size=workload.batch_rows)
    Scorer.score = decorate(Scorer.score)  # type: ignore[method-assign]  # what the decorator's syntax does too
    return Scorer


def _type(kind: str) -> Any:
    if kind.startswith("array<"):
        return daft.DataType.list(_type(kind.removeprefix("array<").removesuffix(">")))
    return TYPES[kind]


def main() -> None:
    """Serve both ways until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cores", type=int, required=True)
    cores: int = parser.parse_args().cores
    replies = take_output()
    daft.set_runner_native(num_threads=cores)
    jobs = {
        "Daft": partial(score, cores, processes=False),
        "Daft, processes": partial(score, cores, processes=True),
    }
    serve(jobs, replies, packages=("daft", "pyarrow", "numpy"))


if __name__ == "__main__":
    main()
