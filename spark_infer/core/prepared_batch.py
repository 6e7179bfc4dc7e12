"""What a model is given of a batch: prepared in its turn, or ahead, while the model predicts the batch before it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pyarrow as pa

from spark_infer.core.convert import project
from spark_infer.core.prefetch import prefetch
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import spelled
from spark_infer.core.stats import Stats
from spark_infer.errors import SparkInferError, StepFailedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A model batch, and how to get what the model is given of it.

    Attributes:
        rows: The table's columns.
        inputs: Returns the model's inputs, or raises what preparing them led to; asked for once.
    """

    rows: pa.RecordBatch
    inputs: Callable[[], pa.RecordBatch]


def prepared_in_turn(batches: Iterator[pa.RecordBatch], steps: ScoringSteps, stats: Stats) -> Generator[PreparedBatch]:
    """Prepare each batch when its inputs are asked for."""
    for batch in batches:
        yield PreparedBatch(batch, partial(model_inputs, batch, steps, stats))


def prepared_ahead(batches: Iterator[pa.RecordBatch], steps: ScoringSteps, stats: Stats) -> Generator[PreparedBatch]:
    """Read and prepare the next batch while the model predicts the last one."""

    def prepared() -> Generator[tuple[PreparedBatch, float]]:
        for batch in batches:
            here = Stats(clock=stats.clock)
            future = Future[pa.RecordBatch]()
            try:
                future.set_result(model_inputs(batch, steps, here))
            except SparkInferError as error:  # of its rows: the others go on
                future.set_exception(error)
            yield PreparedBatch(batch, future.result), here.prepare

    with closing(prefetch(prepared())) as ahead:
        for each, seconds in timed(ahead, stats):
            stats.prepare += seconds
            yield each


def model_inputs(batch: pa.RecordBatch, steps: ScoringSteps, stats: Stats) -> pa.RecordBatch:
    """Decode and preprocess a batch, and return the model's columns in the model's types.

    Raises:
        InputValueError: A value has no place in the model's input type.
        StepFailedError: A step failed.
    """
    with stats.timing("prepare"):
        return project(_prepared(batch, steps), steps.binding)


def _prepared(batch: pa.RecordBatch, steps: ScoringSteps) -> pa.RecordBatch:
    if steps.preprocess is None:
        return batch
    table = steps.preprocess(batch)
    if steps.prepared is None:
        return table
    for name in steps.binding.sources:
        planned = steps.prepared.field(name).type
        found = table.schema.field(name).type if table.schema.names.count(name) == 1 else None
        if found != planned:
            got = "missing or doubled" if found is None else spelled(found)
            raise StepFailedError(
                f"Preprocess returned column {name!r} as {got}; for an empty batch it was {spelled(planned)}.",
                next_step="return the same columns and types for every batch: pa.array(values, pa.float64()).",
            )
    return table


def timed(batches: Iterable[T], stats: Stats) -> Iterator[T]:
    """Count the seconds of waiting for each item."""
    source = iter(batches)
    while True:
        with stats.timing("wait_for_rows"):
            batch = next(source, None)
        if batch is None:
            return
        yield batch
