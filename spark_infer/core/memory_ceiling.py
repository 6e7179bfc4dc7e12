"""Batches that the model has too little memory for: predicted in pieces, and those after them at once."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext

import pyarrow as pa

from spark_infer.core.exception_text import causes, text_of
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelProcessError, SparkInferError

_OUT_OF_MEMORY = re.compile(
    r"out of memory|outofmemory|memoryerror|failed to allocate|bad_alloc|alloc_failed|not enough memory"
    r"|(can't|cannot|could not) allocate memory|unable to allocate [\d.]+ .?i?b|memory allocation error",
    re.IGNORECASE,
)
"""What PyTorch, ONNX Runtime, XGBoost, LightGBM and numpy say, by exceptions that are often a plain RuntimeError."""
_OF_VALUES = (ValueError, TypeError, LookupError, ArithmeticError)
"""What is raised for a value, whose text may be quoted."""
_RAISES_VALUE_ERRORS = "xgboost."


class MemoryCeiling:
    """The most rows that a model has predicted at once on its device, after more of them ran out of memory.

    Args:
        rows: What is known of it from before; None for nothing.
        note: Keeps a lower one for the other processes.
        known: What these have found out.
        alone: Held while a batch is halved, so that processes that run out of memory together halve one after the
            other, and all but the first find out without trying.
    """

    def __init__(
        self,
        rows: int | None = None,
        note: Callable[[int], None] = lambda rows: None,
        *,
        known: Callable[[], int | None] = lambda: None,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.rows = rows
        self._note, self._known, self.alone = note, known, alone

    def look(self) -> int | None:
        """Learn what other processes have found out, and return the ceiling."""
        found = self._known()
        if found is not None and (self.rows is None or found < self.rows):
            self.rows = found
        return self.rows

    def of_size(self, size: int) -> MemoryCeiling:
        """Return the same ceiling for rows that take ``size`` each of what this one counts."""
        return MemoryCeiling(
            note=lambda rows: self.lower(rows * size),
            known=lambda: None if self.look() is None else max(1, (self.rows or 0) // size),
            alone=self.alone,
        )

    def lower(self, rows: int) -> None:
        """Remember that so many rows can be predicted, and twice as many cannot."""
        if self.rows is None or rows < self.rows:
            self.rows = rows
            self._note(rows)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or what led to it, says that memory ran out."""
    return any(isinstance(each, MemoryError) or _says_so(each) for each in causes(error, hidden=True))


def _says_so(error: BaseException) -> bool:
    kind = type(error)
    if _OUT_OF_MEMORY.search(kind.__name__):
        return True
    quotes = isinstance(error, _OF_VALUES) and not kind.__module__.startswith(_RAISES_VALUE_ERRORS)
    repeats = isinstance(error, SparkInferError) and (error.__cause__ or error.__context__) is not None
    return not quotes and not repeats and _OUT_OF_MEMORY.search(text_of(error)) is not None


def predict_in_pieces(
    inputs: pa.RecordBatch, predict: Callable[[pa.RecordBatch], pa.RecordBatch], ceiling: MemoryCeiling, stats: Stats
) -> pa.RecordBatch:
    """Predict a batch: whole, or in pieces of as many rows as there is memory for.

    What ran out of memory is halved and tried again, or cut to what another process has found out meanwhile. The size
    is remembered only when the whole batch has been predicted with it: a row that takes all memory by itself says
    nothing of batches.

    Args:
        inputs: The rows.
        predict: Predicts some of them.
        ceiling: How many rows at once.
        stats: Counts batches that were cut, and calls that ran out of memory.

    Raises:
        Exception: What ``predict`` raises; that memory ran out, for one row alone.
    """
    rows = inputs.num_rows
    size, start = min(rows, ceiling.rows or rows), 0
    found: list[pa.RecordBatch] = []
    with ExitStack() as searching:
        searched = False
        while start < rows:
            piece = inputs if size == rows else inputs.slice(start, size)
            try:
                found.append(predict(piece))
                start += piece.num_rows
                continue
            except Exception as error:
                if isinstance(error, ModelProcessError) and piece.num_rows == 1:
                    error.row = start
                if piece.num_rows == 1 or not is_out_of_memory(error):
                    raise
            # The exception is gone here, and with it the tensors that the frames of its traceback held.
            gc.collect()
            stats.out_of_memory += 1
            size = piece.num_rows // 2
            if not searched:
                searching.enter_context(ceiling.alone())
                known, searched = ceiling.look(), True
                size = known if known is not None and known < piece.num_rows else size
        if size == rows:
            return found[0]
        ceiling.lower(size)
    stats.cut_batches += 1
    stats.cut_rows += size
    return pa.concat_batches(found)
