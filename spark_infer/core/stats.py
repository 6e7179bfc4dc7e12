"""What scoring cost, measured where it happens."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

Clock = Callable[[], float]

COUNTS = ("rows", "predicted", "batches", "loads", "cache_hits", "fallbacks", "retries")
SECONDS = ("load", "wait_for_rows", "prepare", "predict", "encode", "write")
STATS_TYPE = pa.struct(
    [
        *(pa.field(name, pa.int64()) for name in COUNTS),
        *(pa.field(name, pa.float64()) for name in SECONDS),
        pa.field("worker", pa.string()),
    ]
)


@dataclass
class Stats:
    """Counts and seconds since they were last taken; the names of the seconds are those of the report.

    Attributes:
        predicted: Rows that the model was asked for: fewer than were scored where equal ones were predicted once.
        fallbacks: Loads on the CPU where a GPU was asked for.
        retries: Earlier attempts of the task, which failed.
        wait_for_rows: Seconds spent waiting for the next record batch.
        prepare: Seconds for preprocess and casts.
        predict: Seconds inside the model, conversion to what it takes included.
        encode: Seconds for postprocess and Arrow.
        write: Seconds for the files, where a worker writes them.
        load: Seconds spent loading the model.
    """

    rows: int = 0
    predicted: int = 0
    batches: int = 0
    loads: int = 0
    cache_hits: int = 0
    fallbacks: int = 0
    retries: int = 0
    load: float = 0.0
    wait_for_rows: float = 0.0
    prepare: float = 0.0
    predict: float = 0.0
    encode: float = 0.0
    write: float = 0.0
    clock: Clock = field(default=time.perf_counter, repr=False)

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Add the seconds of the block to one of the parts."""
        start = self.clock()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + self.clock() - start)

    def take(self) -> dict[str, int | float | str]:
        """Return what was counted and start again from zero."""
        taken = {name: value for name, value in asdict(self).items() if name != "clock"}
        self.__init__(clock=self.clock)  # type: ignore[misc]
        return {**taken, "worker": f"{socket.gethostname()}:{os.getpid()}"}

    def take_column(self, rows: int) -> pa.Array:
        """Return what was counted as a column of `STATS_TYPE`: in the first row, null in all others."""
        return pa.array([self.take(), *[None] * (rows - 1)] if rows else [], STATS_TYPE)


@dataclass(frozen=True, kw_only=True)
class TaskTotals:
    """Sums over the tasks of one action.

    They tell what work was done: a retried task counts twice. What was written is counted from the committed files.
    """

    rows: int
    predicted: int
    batches: int
    loads: int
    cache_hits: int
    fallbacks: int
    retries: int
    workers: int
    seconds: Mapping[str, float]

    @classmethod
    def of_tasks(cls, taken: Sequence[Mapping[str, Any]]) -> TaskTotals:
        """Add up what the tasks told (`core.stats.Stats.take`)."""
        counts = {name: sum(int(each.get(name) or 0) for each in taken) for name in COUNTS}
        seconds = {name: sum(float(each[name] or 0.0) for each in taken) for name in SECONDS}
        # A task without rows asked for no model.
        named = {each["worker"] for each in taken if each["batches"] and "worker" in each}
        workers = len(named) + sum(each.get("workers", 0) for each in taken)
        return cls(**counts, workers=workers, seconds=seconds)

    def as_task(self) -> dict[str, Any]:
        """Return the sums as what one task would have told; of the workers only how many."""
        counts = {name: getattr(self, name) for name in COUNTS}
        return {**counts, **{name: self.seconds.get(name, 0.0) for name in SECONDS}, "workers": self.workers}

    @classmethod
    def of_rows(cls, rows: int) -> TaskTotals:
        """Totals of which nothing but the rows is known."""
        return cls(
            rows=rows, predicted=rows, batches=0, loads=0, cache_hits=0, fallbacks=0, retries=0, workers=0, seconds={}
        )
