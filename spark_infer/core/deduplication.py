"""Whether equal rows of a task are looked for, and in how many batches at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import pyarrow as pa

from spark_infer.core.known_rows import KnownRows, pays

RUN_BATCHES = 8
"""Most model batches whose rows are compared with each other."""


class Deduplication:
    """Whether it pays to look for equal rows; judged again after each run of batches.

    Attributes:
        active: Whether to look.
        batches: How many model batches are compared with each other.
        known: The rows of earlier runs, and their answers.
        row_seconds: What it last took to predict a row.

    Args:
        option: ``never``, ``always``, or ``auto``, which looks as long as it pays.
        by_row: Whether the model's answer for a row is known to depend on that row alone.
        clock: Seconds that only grow.
    """

    def __init__(self, option: str, *, by_row: bool, clock: Callable[[], float] = time.perf_counter) -> None:
        self.active = option == "always" or (option == "auto" and by_row)
        self.batches = RUN_BATCHES if option == "always" else 1
        self._measured = option == "auto"
        self.row_seconds = 0.0
        self.known = KnownRows(clock)

    def measure(self, *, rows: int, predicted: int, grouping: float, predict: float) -> None:
        """Note what a run took: seconds to find the rows that need no predicting, and to predict the others."""
        if predicted:
            self.row_seconds = predict / predicted
        if self._measured:
            spared = self.row_seconds * (rows - predicted)
            self.active = pays(spared=spared, predict=predict, spent=grouping)
            # From one batch on, so that a search in vain costs little.
            self.batches = min(RUN_BATCHES, 2 * self.batches)


class HasRows(Protocol):
    """A batch, with whatever goes with it."""

    @property
    def rows(self) -> pa.RecordBatch:
        """The batch."""
        ...


T = TypeVar("T", bound=HasRows)


def runs(batches: Iterable[T], search: Deduplication, *, max_bytes: int) -> Iterator[list[T]]:
    """Gather batches whose rows are compared: one by one while that is not worth it."""
    held: list[T] = []
    for batch in batches:
        held.append(batch)
        if not search.active or len(held) >= search.batches or sum(each.rows.nbytes for each in held) >= max_bytes:
            yield held
            held = []
    if held:
        yield held
