"""A model that doubles its input, notes its loads, and does to its process what some values say."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any

import numpy as np
import pyarrow as pa

from spark_infer.core.buckets import PreparedRows

CRASHES, HANGS, NAPS, RAISES, HOLDS_THE_LOCK, TOO_MANY, KEEPS, FORKS = -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0
NAP_SECONDS = 0.3


class Doubling:
    """Returns twice `x`, and of each row in how many rows it was predicted; tokens of a text are its bytes."""

    how, by_row, batch_rows, batch_cost, difference = "as they are", True, 64, 24, None

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def outputs(self) -> pa.Schema:
        return pa.schema([("y", pa.float64()), ("rows", pa.int64())])

    def predict(self, inputs: pa.RecordBatch) -> dict[str | None, Any]:
        x = inputs.column("x")
        doubles = np.frombuffer(x.buffers()[1])[x.offset : x.offset + len(x)]  # `to_numpy` would import pandas
        values = set(doubles.tolist())
        if CRASHES in values:
            os.kill(os.getpid(), signal.SIGSEGV)
        if FORKS in values:
            if not os.fork():
                time.sleep(20)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)
        if HANGS in values:
            time.sleep(600)
        if NAPS in values:
            time.sleep(NAP_SECONDS)
        if HOLDS_THE_LOCK in values:
            ctypes.PyDLL(None).sleep(600)
        if RAISES in values:
            raise ValueError("no")
        if TOO_MANY in values and inputs.num_rows > 1:
            raise MemoryError
        if KEEPS in values:
            kept, self._kept = [*self._kept, doubles], [] if self._kept else [doubles]
            return {"y": np.concatenate(kept) * 2}
        return {
            "y": doubles * 2,
            "rows": pa.Array.from_buffers(pa.int64(), len(x), [None, pa.py_buffer(np.full(len(x), len(x)))]),
        }

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        tokens = [[*text.encode()] for text in inputs.column("text").to_pylist()]
        return PreparedRows(pa.record_batch({"tokens": tokens}), np.array([len(row) for row in tokens], np.int64))

    def predict_prepared(self, rows: pa.RecordBatch) -> dict[str | None, Any]:
        doubles = [2 * sum(row) for row in rows.column("tokens").to_pylist()]
        return {"y": np.array(doubles), "rows": np.full(len(doubles), len(doubles))}

    def close(self) -> None:
        pass


def loads(log: str) -> Doubling:
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\n")
    return Doubling()


def fails_to_load(log: str) -> Doubling:
    loads(log)
    raise ValueError("not this one")


def dies_while_it_loads(log: str) -> Doubling:
    os.kill(os.getpid(), signal.SIGKILL)
    return loads(log)
