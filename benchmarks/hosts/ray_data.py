"""The host of Ray Data, in a virtual environment of its own; Ray runs on this machine alone.

Two ways, because neither is always the faster: a class in two actors, as Ray's documentation has it, whose actors start
and load the model again with every job; and a function in tasks, which Ray fuses with the read and the write, with the
model kept in the worker process.
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data

from benchmarks.hosts.protocol import Job, serve, take_output
from benchmarks.worker import load_once, score_batch
from benchmarks.workload import Workload

OBJECT_STORE_BYTES = 2**30


class Scorer:
    """The model in an actor."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        load_once(workload)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score one batch."""
        return score_table(table, self._workload)


def score_table(table: pa.Table, workload: Workload) -> pa.Table:
    """Score one batch of Ray's."""
    batches = table.combine_chunks().to_batches()
    return pa.Table.from_batches([score_batch(batch, workload) for batch in batches])


def with_actors(cores: int, workload: Workload, target: Path) -> None:
    """Score with a class in as many actors as cores."""
    source = ray.data.read_parquet(workload.source, columns=workload.columns)
    scored = source.map_batches(
        Scorer,
        fn_constructor_args=(workload,),
        compute=ray.data.ActorPoolStrategy(size=cores),
        num_cpus=1,
        **_batches(workload),
    )
    scored.write_parquet(str(target))


def with_tasks(workload: Workload, target: Path) -> None:
    """Score with a function in tasks."""
    source = ray.data.read_parquet(workload.source, columns=workload.columns)
    # Nothing is said of CPUs or concurrency: Ray fuses only what asks for the same.
    scored = source.map_batches(score_table, fn_kwargs={"workload": workload}, **_batches(workload))
    scored.write_parquet(str(target))


def _batches(workload: Workload) -> dict[str, Any]:
    return {"batch_format": "pyarrow", "batch_size": workload.batch_rows, "zero_copy_batch": True}


def main() -> None:
    """Serve both ways until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cores", type=int, required=True)
    cores: int = parser.parse_args().cores
    replies = take_output()
    ray.init(
        # Actors hold a CPU each for as long as they live; reads and writes need others. The machine's cores are pinned.
        num_cpus=2 * cores,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
    )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # The newer reader starts an actor for the footers of every job, which takes seconds.
    context.use_datasource_v2 = False
    jobs: dict[str, Job] = {"Ray Data": partial(with_actors, cores), "Ray Data, tasks": with_tasks}
    serve(jobs, replies, packages=("ray", "pyarrow", "numpy"))
    ray.shutdown()


if __name__ == "__main__":
    main()
