"""Which row of a batch a model fails for: parts of the batch are scored, each once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.exception_text import causes, text_of
from spark_infer.core.memory_ceiling import is_out_of_memory
from spark_infer.errors import (
    InputValueError,
    ModelProcessError,
    PredictError,
    PredictionShapeError,
    RowOrderError,
    SparkInferError,
    StepFailedError,
)

_SAMPLED = 16
_FILLED = 3

_OF_A_ROW = (InputValueError, PredictError, PredictionShapeError, StepFailedError)
_NEVER = (OSError, ImportError, SystemExit)
_DEVICE = re.compile(r"\bcuda|cublas|cudnn", re.IGNORECASE)
"""What frameworks say of devices, by exceptions of no class of their own."""

_HALVES, _MANY = 2, 100
"""In how many parts rows are searched: many where a failure ends a process, which takes much longer than a part."""

Score = Callable[[pa.RecordBatch], pa.RecordBatch]
"""From rows of the table to their outputs; raises where it fails for them."""


def is_of_a_row(error: SparkInferError) -> bool:
    """Whether an error may be the fault of a row: not of the machine, of a file, of a device or of the model's process.

    A wrong answer (`PredictionShapeError`) counts: a model may drop the rows that it has no answer for. An error that
    no row has alone ends the search. What ends the process of an isolated model may be a row's fault too.
    """
    if isinstance(error, ModelProcessError):
        return True
    if not isinstance(error, _OF_A_ROW) or isinstance(error, RowOrderError):
        return False
    chain = [each for each in causes(error, hidden=True) if each is not error]
    return not is_out_of_memory(error) and not any(
        isinstance(each, _NEVER) or _DEVICE.search(f"{type(each).__name__} {text_of(each)}") for each in chain
    )


@contextmanager
def rows_at(places: npt.NDArray[np.integer] | Sequence[int]) -> Iterator[None]:
    """Ask a model for some rows of a batch: an error that names one of them names it as a row of the batch.

    Args:
        places: Where the rows that the model is given are in the batch.
    """
    try:
        yield
    except ModelProcessError as error:
        if error.row is not None:
            error.row = int(places[error.row])
        raise


def _row_of(failure: SparkInferError | None) -> int | None:
    """Which row of those that failed is to blame, where that is known."""
    return failure.row if isinstance(failure, ModelProcessError) else None


class Trial:
    """Scores parts of a batch, each once, to see whether they fail.

    Args:
        batch: The rows.
        score: Scores some of them.
        any_size: Whether the model is known to take batches of any size.
    """

    def __init__(self, batch: pa.RecordBatch, score: Score, *, any_size: bool = False) -> None:
        self.rows = batch.num_rows
        self.whole: pa.RecordBatch | None = None
        """The outputs of the whole batch; None where that fails."""
        self.batch = batch
        self._score = score
        self._any_size = any_size
        self._tried: dict[tuple[int, int], SparkInferError | None] = {}
        self._seen = True
        self._filler: int | None = None

    @property
    def fills_up(self) -> bool:
        """Whether the model was found to take batches of one size alone."""
        return self._filler is not None

    def failed(self, error: SparkInferError) -> None:
        """Note how all of the rows have failed, which may be different the next time."""
        self._tried[0, self.rows] = error
        self._seen = False

    def failure(self, start: int, stop: int) -> SparkInferError | None:
        """Why rows fail together; None where they do not."""
        part = start, stop
        if part not in self._tried:
            self._tried[part] = self._attempt(self._part(start, stop, self._filler))
        return self._tried[part]

    def passes_now(self) -> bool:
        """Whether all rows, which were said to have failed and have not been tried here, do not fail another time."""
        return not self._seen and self._attempt(self.batch) is None

    def first_failing(self, start: int, stop: int) -> tuple[int, SparkInferError | None]:
        """Narrow rows that fail together down to the first without which those before it do not.

        Returns:
            That row, and why it fails alone; None where it does not.
        """
        failure = self.failure(start, stop)
        if (known := _row_of(failure)) is not None:
            return known + (start if self._filler is None else 0), failure
        parts = _MANY if isinstance(failure, ModelProcessError) else _HALVES
        while stop - start > 1:
            step = -(-(stop - start) // parts)
            while start + step < stop and self.failure(start, start + step) is None:
                start += step
            stop = min(stop, start + step)
        return start, self.failure(start, start + 1)

    def finds_a_good_row(self) -> bool:
        """Whether a row does not fail, among a few of the whole batch.

        Some models take batches of one size alone. Where a row fails by itself, and as many copies of it as the batch
        has rows do not, parts of the batch are filled up with copies of it from here on.
        """
        rows = self.rows
        some = [*dict.fromkeys(np.linspace(0, rows - 1, _SAMPLED).astype(int).tolist())]
        if any(self.failure(row, row + 1) is None for row in some):
            return True
        for row in some[:_FILLED] if rows > 1 and not self._any_size else []:
            if self._attempt(self._part(row, row, row)) is None:
                whole = {key: failure for key, failure in self._tried.items() if key == (0, rows)}
                self._filler, self._tried = row, whole
                return True
        return False

    def _part(self, start: int, stop: int, filler: int | None) -> pa.RecordBatch:
        if filler is None:
            return self.batch if stop - start == self.rows else self.batch.slice(start, stop - start)
        places = np.full(self.rows, filler)
        places[start:stop] = np.arange(start, stop)
        return self.batch.take(pa.array(places))

    def _attempt(self, rows: pa.RecordBatch) -> SparkInferError | None:
        try:
            answered = self._score(rows)
        except SparkInferError as error:
            if not is_of_a_row(error):
                raise
            return error
        self.whole = answered if rows is self.batch else self.whole
        return None
