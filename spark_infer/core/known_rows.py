"""The rows that a task has predicted, and the answers: a row that comes again is not predicted again."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from spark_infer.core.bad_row_search import rows_at
from spark_infer.core.duplicates import row_keys

MAX_BYTES = 64 * 2**20
"""Most bytes of rows and answers that a task keeps; later rows are predicted, and not kept."""

_ENTRY_BYTES = 100
"""About what Python needs for a key beside its own bytes."""


_SAMPLE = 1000
"""Rows by which it is found out how long it takes to look rows up."""

_CHEAP = 0.01
"""Which share of the time to predict a search may take that has found nothing yet."""


def pays(*, spared: float, predict: float, spent: float) -> bool:
    """Whether a search for equal rows pays: by the seconds that it spared, or since it costs next to nothing."""
    return spent < spared or spent < _CHEAP * predict


class KnownRows:
    """Answers to rows, by the content of the rows; only for a model whose answer depends on the row alone.

    Attributes:
        active: Whether it pays to look rows up, and all of them can be.

    Args:
        max_bytes: Most bytes to keep.
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float], max_bytes: int = MAX_BYTES) -> None:
        self.active = True
        self._clock = clock
        self._max_bytes = max_bytes
        self._places: dict[bytes, int] = {}
        self._answers: list[pa.RecordBatch] = []
        self._bytes = 0
        self._spent, self._spared, self._predict, self._row_seconds = 0.0, 0.0, 0.0, 0.0

    def __bool__(self) -> bool:
        return self.active and bool(self._places)

    def keep(self, rows: pa.RecordBatch, answers: pa.RecordBatch, *, row_seconds: float) -> None:
        """Keep the answers to the first distinct rows; ``row_seconds`` is what it took to predict one of them."""
        self._row_seconds = row_seconds
        began = self._clock()
        row_keys(rows.slice(0, _SAMPLE))
        if self._clock() - began > row_seconds * min(_SAMPLE, rows.num_rows):
            self._stop()  # a model that is faster than looking its rows up
            return
        keys = row_keys(rows)
        if keys is None:
            self._stop()
        else:
            self._keep(keys, answers)

    def predict(self, rows: pa.RecordBatch, predict: Callable[[pa.RecordBatch], pa.RecordBatch]) -> pa.RecordBatch:
        """Return the answers to distinct rows; those that are known are not predicted.

        Args:
            rows: Rows, each once.
            predict: Predicts some of them, in their order.
        """
        began = self._clock()
        keys = row_keys(rows)
        if keys is None:
            self._stop()
            return predict(rows)
        places = [*map(self._places.get, keys)]
        new = [index for index, place in enumerate(places) if place is None]
        looked = self._clock()
        answers = [*self._answers]
        if new:
            with rows_at(new):
                answers.append(predict(rows if len(new) == len(keys) else rows.take(pa.array(new))))
            seconds = self._clock() - looked
            self._predict += seconds
            self._row_seconds = seconds / len(new)
            first = len(self._places)
            for offset, index in enumerate(new):
                places[index] = first + offset
            self._keep([keys[index] for index in new], answers[-1])
        self._judge(looked - began, len(keys) - len(new))
        if len(new) == len(keys):
            return answers[-1]
        taken = pa.Table.from_batches(answers).take(pa.array(places, pa.int64())).combine_chunks()
        return taken.to_batches()[0]

    def _keep(self, keys: list[bytes], answers: pa.RecordBatch) -> None:
        size = answers.nbytes + sum(map(len, keys)) + _ENTRY_BYTES * len(keys)
        if self._bytes + size > self._max_bytes:
            return
        self._bytes += size
        self._places.update(zip(keys, range(len(self._places), len(self._places) + len(keys)), strict=True))
        self._answers.append(answers)

    def _judge(self, spent: float, known: int) -> None:
        self._spent += spent
        self._spared += known * self._row_seconds
        if not pays(spared=self._spared, predict=self._predict, spent=self._spent):
            self._stop()

    def _stop(self) -> None:
        self.active = False
        self._places.clear()
        self._answers.clear()
