"""A postprocess step that tells where a batch was scored, and takes its time, so that tasks run side by side."""

from __future__ import annotations

import os
import time

import pyarrow as pa
from pyspark import TaskContext

SECONDS = 0.4
FIELDS = {"address": pa.string(), "worker": pa.int64(), "cached": pa.int64(), "threads": pa.int64()}


def note(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Add the address that Spark assigned, the worker, the models it holds, and the threads it allows itself."""
    told: list[object] = [None] * len(FIELDS)
    context = TaskContext.get()
    if context is not None:
        from threadpoolctl import threadpool_info

        from spark_infer.runtime.process_state import this_process

        time.sleep(SECONDS)
        threads = max(int(os.environ["OMP_NUM_THREADS"]), *(pool["num_threads"] for pool in threadpool_info()))
        gpu = context.resources().get("gpu")
        told = [",".join(gpu.addresses) if gpu else None, os.getpid(), len(this_process().models), threads]
    for (name, data_type), value in zip(FIELDS.items(), told, strict=True):
        batch = batch.append_column(name, pa.array([value] * batch.num_rows, data_type))
    return batch
