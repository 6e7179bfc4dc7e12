"""Batches of several clients in one predict call, and its answer cut into theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from spark_infer.core.memory_ceiling import is_out_of_memory
from spark_infer.core.outputs import Predictions, Values

Predict = Callable[[pa.RecordBatch], Predictions]
Answers = list[Predictions | BaseException]


class Waiting(Protocol):
    """A batch that waits to be predicted."""

    @property
    def batch(self) -> pa.RecordBatch:
        """Its rows."""
        ...

    @property
    def size_bytes(self) -> int:
        """Its size."""
        ...

    @property
    def alone(self) -> bool:
        """Whether no other batch may be predicted in the same call."""
        ...

    @property
    def max_rows(self) -> int:
        """Most rows of a call."""
        ...

    @property
    def max_bytes(self) -> int:
        """Most bytes of a call."""
        ...


@dataclass(kw_only=True)
class JoinLimit:
    """The most rows that batches of several clients are joined to, after more of them ran out of memory."""

    rows: int | None = None

    def lower(self, rows: int) -> None:
        """Join fewer rows than these."""
        self.rows = max(1, rows // 2) if self.rows is None else min(self.rows, max(1, rows // 2))


def choose_joined(waiting: Sequence[Waiting], limit: JoinLimit) -> list[int]:
    """Return the places of those that are predicted in one call: the first, and what fits beside it.

    The first one has waited longest. So none waits for more calls than there are clients, each of which has one batch
    here at most.
    """
    first = waiting[0]
    chosen, rows, size = [0], first.batch.num_rows, first.size_bytes
    if first.alone:
        return chosen
    max_rows, max_bytes = min(first.max_rows, limit.rows or first.max_rows), first.max_bytes
    for place, each in enumerate(waiting[1:], start=1):
        more_rows, more_bytes = rows + each.batch.num_rows, size + each.size_bytes
        limits = min(max_rows, each.max_rows), min(max_bytes, each.max_bytes)
        if each.alone or more_rows > limits[0] or more_bytes > limits[1] or each.batch.schema != first.batch.schema:
            continue
        chosen.append(place)
        rows, size = more_rows, more_bytes
        max_rows, max_bytes = limits
    return chosen


def predict_joined(batches: Sequence[pa.RecordBatch], predict: Predict, limit: JoinLimit) -> Answers:
    """Predict batches in one call; where that fails, each by itself, so that each has the answer of its own rows."""
    if len(batches) > 1:
        rows = [batch.num_rows for batch in batches]
        try:
            return [*_cut(predict(pa.concat_batches(batches)), rows)]
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error):
                limit.lower(sum(rows))
    return [_attempt(batch, predict) for batch in batches]


def _attempt(batch: pa.RecordBatch, predict: Predict) -> Predictions | BaseException:
    try:
        return predict(batch)
    except (Exception, SystemExit) as error:
        return error


def _cut(predictions: Predictions, rows: Sequence[int]) -> list[Predictions]:
    """Cut outputs into parts of so many rows each.

    Raises:
        ValueError: They are not of as many rows: whose are missing is not known.
    """
    if any(len(values) != sum(rows) for values in predictions.values()):
        raise ValueError("other rows than were asked for")
    parts: list[Predictions] = []
    start = 0
    for count in rows:
        parts.append({name: _part(values, start, count) for name, values in predictions.items()})
        start += count
    return parts


def _part(values: Values, start: int, count: int) -> Values:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        taken: Values = values.take(pa.array(np.arange(start, start + count)))  # a slice would be sent whole
        return taken
    return values[start : start + count]
