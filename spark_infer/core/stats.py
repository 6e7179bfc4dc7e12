"""What scoring cost: the one table of counters, what a worker counts, and the sums that a run reports."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import pyarrow as pa

Clock = Callable[[], float]


@dataclass(kw_only=True)
class Counters:
    """Counts, which are whole numbers, and seconds, which are floats; their names are those of the report.

    A new counter is a field here and, where it is shown, a field of `observe.report.Report`.

    Attributes:
        predicted: Rows that the model was asked for: fewer than were scored where equal ones were predicted once.
        bad_rows: Rows that the model failed for, and that are left without a prediction.
        fallbacks: Loads on the CPU where a GPU was asked for.
        unaccelerated: Tasks whose model was seen to answer otherwise in a faster way, and answered without it.
        retries: Earlier attempts of the task, which failed.
        prediction_cache_hits: Rows whose answers were found among those that earlier runs have kept.
        prediction_cache_misses: Rows that were looked up there in vain, and predicted.
        rows_squared: The square of the rows of each model batch, added up, from which their spread follows.
        tokens: What rows take of the batches that they are predicted in, where a model chooses its batches by that.
        computed_tokens: The same with padding: what the model computed.
        out_of_memory: Calls of the model that ran out of memory, after which the batch was cut.
        cut_batches: Batches that were predicted in pieces, since there was too little memory for them.
        cut_rows: The most rows of a piece, added up over these batches.
        hosted_batches: Model batches that were predicted in the model host of the executor.
        joined_batches: Those of them that went into one call with batches of other tasks.
        host_restarts: How often a host ended while a worker used it, and was started again.
        load: Seconds spent loading the model.
        wait_for_rows: Seconds spent waiting for the next record batch.
        prepare: Seconds for preprocess and casts.
        predict: Seconds inside the model, conversion to what it takes included.
        encode: Seconds for postprocess and Arrow.
        write: Seconds for the files, where a worker writes them.
    """

    rows: int = 0
    predicted: int = 0
    bad_rows: int = 0
    batches: int = 0
    loads: int = 0
    cache_hits: int = 0
    fallbacks: int = 0
    unaccelerated: int = 0
    retries: int = 0
    prediction_cache_hits: int = 0
    prediction_cache_misses: int = 0
    rows_squared: int = 0
    tokens: int = 0
    computed_tokens: int = 0
    out_of_memory: int = 0
    cut_batches: int = 0
    cut_rows: int = 0
    hosted_batches: int = 0
    joined_batches: int = 0
    host_restarts: int = 0
    load: float = 0.0
    wait_for_rows: float = 0.0
    prepare: float = 0.0
    predict: float = 0.0
    encode: float = 0.0
    write: float = 0.0


COUNTS = tuple(each.name for each in fields(Counters) if isinstance(each.default, int))
SECONDS = tuple(each.name for each in fields(Counters) if isinstance(each.default, float))

STATS_TYPE = pa.struct(
    [
        *(pa.field(name, pa.int64()) for name in COUNTS),
        *(pa.field(name, pa.float64()) for name in SECONDS),
        pa.field("error_classes", pa.string()),
        pa.field("batch_choices", pa.string()),
        pa.field("worker", pa.string()),
    ]
)


@dataclass(kw_only=True)
class Stats(Counters):
    """What a worker counted since it was last taken.

    Attributes:
        errors: Bad rows by the class of the exception.
        batch_choices: How many rows of a batch were found to be best, and why (`core.batch_search`).
        outputs: Prediction column to what was counted of it (`core.expect`).
    """

    errors: Counter[str] = field(default_factory=Counter)
    batch_choices: Counter[str] = field(default_factory=Counter)
    outputs: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    clock: Clock = field(default=time.perf_counter, repr=False)

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Add the seconds of the block to one of the parts."""
        start = self.clock()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + self.clock() - start)

    def note_bad_row(self, error_class: str) -> None:
        """Count a row that is left without a prediction."""
        self.bad_rows += 1
        self.errors[error_class] += 1

    def take(self) -> dict[str, int | float | str]:
        """Return what was counted and start again from zero."""
        taken = {name: getattr(self, name) for name in (*COUNTS, *SECONDS)}
        if self.errors:
            taken["error_classes"] = json.dumps(self.errors)
        if self.batch_choices:
            taken["batch_choices"] = json.dumps(self.batch_choices)
        if any(self.outputs.values()):
            taken["outputs"] = json.dumps(self.outputs)
        self.__init__(clock=self.clock)  # type: ignore[misc]
        return {**taken, "worker": f"{socket.gethostname()}:{os.getpid()}"}

    def take_column(self, rows: int) -> pa.Array:
        """Return what was counted as a column of `STATS_TYPE`: in the first row, null in all others."""
        return pa.array([self.take(), *[None] * (rows - 1)] if rows else [], STATS_TYPE)


@dataclass(kw_only=True)
class TaskTotals(Counters):
    """Sums over the tasks of one action, and how many workers there were.

    They are of the work that was done: a retried task counts twice. What was written is counted from the committed
    files.

    Attributes:
        host_clients: How many of the workers fed a model host.
        error_classes: Bad rows by the class of the exception, as far as tasks brought that along.
        batch_choices: What workers found of batch sizes, and how many of them found that.
        outputs: Prediction column to what was counted of it, as far as tasks brought that along.
    """

    workers: int = 0
    host_clients: int = 0
    error_classes: Mapping[str, int] = field(default_factory=dict)
    batch_choices: Mapping[str, int] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of_tasks(cls, taken: Sequence[Mapping[str, Any]]) -> TaskTotals:
        """Add up what tasks counted (`Stats.take`), or sums of tasks (`as_task`)."""
        sums: dict[str, Any] = {name: sum(int(each.get(name) or 0) for each in taken) for name in COUNTS}
        sums |= {name: sum(float(each.get(name) or 0.0) for each in taken) for name in SECONDS}
        # A task without rows asked for no model.
        workers = _workers_with("batches", taken) + sum(int(each.get("workers") or 0) for each in taken)
        clients = _workers_with("hosted_batches", taken) + sum(int(each.get("host_clients") or 0) for each in taken)
        errors, choices = (
            dict(sum((Counter(json.loads(each.get(name) or "{}")) for each in taken), Counter[str]()).most_common())
            for name in ("error_classes", "batch_choices")
        )
        outputs: dict[str, Counter[str]] = defaultdict(Counter)
        for each in taken:
            for name, counts in json.loads(each.get("outputs") or "{}").items():
                outputs[name].update(counts)
        return cls(
            **sums,
            workers=workers,
            host_clients=clients,
            error_classes=errors,
            batch_choices=choices,
            outputs=dict(outputs),
        )

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each part."""
        return {name: getattr(self, name) for name in SECONDS}

    def as_task(self) -> dict[str, Any]:
        """Return the sums as what one task would have counted; of the workers only how many."""
        texts = {name: json.dumps(getattr(self, name)) for name in ("error_classes", "batch_choices", "outputs")}
        return {**vars(self), **texts}


def _workers_with(counter: str, taken: Sequence[Mapping[str, Any]]) -> int:
    return len({each["worker"] for each in taken if each.get(counter) and "worker" in each})
