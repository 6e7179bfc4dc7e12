"""Answers that earlier runs have kept, in the place of predict calls; and new answers, on their way to be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.bad_row_search import rows_at
from spark_infer.core.duplicates import Digests, row_digests
from spark_infer.core.stats import Stats

Find = Callable[[Digests], tuple[npt.NDArray[np.bool_], pa.RecordBatch]]
"""Says which rows have an answer, by the digests of their inputs, and returns these answers in the rows' order."""

Keep = Callable[[Digests, pa.RecordBatch], None]
"""Takes digests of inputs that were predicted, each once, and the answers."""


@dataclass(frozen=True)
class _Answered:
    """What a predict call came to: how many rows were found, and the digests and answers of the others."""

    found: int
    digests: Digests
    answers: pa.RecordBatch | None


class PredictionCache:
    """Looks rows up before the model is asked; only for a model whose answer depends on the row alone.

    Args:
        find: Looks rows up among those of earlier runs.
        keep: Takes what is new.
        stats: Counts rows that were found, and those that were not.
    """

    def __init__(self, find: Find, keep: Keep, stats: Stats) -> None:
        self._find = find
        self._keep = keep
        self._stats = stats
        self._is_trying = False
        self._last: _Answered | None = None

    def predict(self, rows: pa.RecordBatch, predict: Callable[[pa.RecordBatch], pa.RecordBatch]) -> pa.RecordBatch:
        """Return the raw outputs of model inputs; those that are found are not predicted.

        Args:
            rows: Model inputs.
            predict: Predicts some of them, in their order.
        """
        with self._stats.timing("prepare"):
            digests = row_digests(rows)
            known, found = self._find(digests)
        if known.all():
            self._note(_Answered(len(known), digests[:0], None))
            return found
        is_new = ~known
        with rows_at(np.flatnonzero(is_new)):
            new = predict(rows.filter(pa.array(is_new)) if known.any() else rows)
        self._note(_Answered(int(known.sum()), digests[is_new], new))
        if not known.any():
            return new
        places = np.empty(len(known), np.int64)
        places[known] = np.arange(found.num_rows)
        places[is_new] = found.num_rows + np.arange(new.num_rows)
        return pa.concat_batches([found, new]).take(pa.array(places))

    @contextmanager
    def trying(self, *, keeps: bool) -> Iterator[None]:
        """Have the predict calls of the block, which try the same rows several times, count as one.

        Args:
            keeps: Whether what the last one has predicted is kept; else nothing of the block is.
        """
        self._is_trying = True
        try:
            yield
        finally:
            last, self._last, self._is_trying = self._last, None, False
        if keeps and last is not None:
            self._note(last)

    def _note(self, answered: _Answered) -> None:
        if self._is_trying:
            self._last = answered
            return
        self._stats.prediction_cache_hits += answered.found
        self._stats.prediction_cache_misses += len(answered.digests)
        if answered.answers is not None:
            first = np.sort(np.unique(answered.digests, axis=0, return_index=True)[1])
            whole = len(first) == answered.answers.num_rows
            self._keep(answered.digests[first], answered.answers if whole else answered.answers.take(pa.array(first)))
