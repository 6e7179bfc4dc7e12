"""Rows that a model fails for: found in the batch that failed, and left without a prediction, with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from spark_infer.config import ScoreOptions
from spark_infer.core.exception_text import causes, text_of
from spark_infer.core.memory_ceiling import is_out_of_memory
from spark_infer.core.stats import Stats
from spark_infer.errors import (
    InputValueError,
    ModelProcessError,
    PlanError,
    PredictError,
    PredictionShapeError,
    RowOrderError,
    SparkInferError,
    StepFailedError,
    TooManyBadRowsError,
)

ERROR_TYPE = pa.struct([pa.field("error_class", pa.string()), pa.field("error_message", pa.string())])
"""Why a row has no prediction: the class of the exception, and a bounded message."""

ALWAYS_JUDGED = 100
"""Rows below which a share says little: as many bad rows as are allowed of these are allowed of fewer."""

_SAMPLED = 16
_FILLED = 3
_MOST_LETTERS = 500

_OF_A_ROW = (InputValueError, PredictError, PredictionShapeError, StepFailedError)
_NEVER = (OSError, ImportError, SystemExit)
_DEVICE = re.compile(r"\bcuda|cublas|cudnn", re.IGNORECASE)
"""What frameworks say of devices, by exceptions of no class of their own."""

_HALVES, _MANY = 2, 100
"""In how many parts rows are searched: many where a failure ends a process, which takes much longer than a part."""

Score = Callable[[pa.RecordBatch], pa.RecordBatch]
"""From rows of the table to their outputs; raises where it fails for them."""


@dataclass(frozen=True, kw_only=True)
class BadRowLimits:
    """How many rows may be without a prediction.

    Attributes:
        most: The most; None for any number.
        fraction: The largest share of the rows.
    """

    most: int | None = None
    fraction: float = 1.0

    @classmethod
    def of(cls, options: ScoreOptions) -> BadRowLimits:
        """Return those that a job asks for."""
        return cls(most=options.max_bad_rows, fraction=options.max_bad_fraction)

    def refuse(self, bad: int, rows: int, *, why: str, whole: bool = False) -> None:
        """See that there are not too many.

        Args:
            bad: Rows without a prediction.
            rows: Rows that were looked at, these included.
            why: The reason of one of them.
            whole: Whether these are all rows there are.

        Raises:
            TooManyBadRowsError: There are.
        """
        if self.most is not None and bad > self.most:
            raise TooManyBadRowsError.above(bad, rows, f"max_bad_rows is {self.most:,}", why)
        all_of_them = whole and bad == rows > 0 and self.fraction < 1
        if all_of_them or bad > self.fraction * max(rows, ALWAYS_JUDGED):
            raise TooManyBadRowsError.above(bad, rows, f"max_bad_fraction is {self.fraction:g}", why)


@dataclass(kw_only=True)
class BadRows:
    """The bad rows that one task has found.

    Attributes:
        limits: How many there may be.
        stats: Counts them for the report.
        rows: Rows that were looked at.
        bad: How many of them were bad.
    """

    limits: BadRowLimits
    stats: Stats
    rows: int = 0
    bad: int = 0

    def score(
        self, batch: pa.RecordBatch, score: Score, outputs: pa.Schema, *, failed: SparkInferError | None = None
    ) -> tuple[pa.RecordBatch, pa.Array | None]:
        """Score a batch, of which rows may be bad.

        Where it fails, the first row that fails is searched by halves, then the first of those after it, and so on:
        about log2(rows) + 3 calls for each. Then all rows are scored once more, with a copy of a good row in the place
        of each bad one: so the good rows are answered in a batch of the same size, at the same places, as without bad
        ones.

        Args:
            batch: The rows.
            score: Scores them.
            outputs: The columns that it returns.
            failed: How all of the rows failed; None where that is not known, or may be different the next time.

        Returns:
            The outputs, null for bad rows, and the reasons (`ERROR_TYPE`), null for good ones; None without bad ones.

        Raises:
            SparkInferError: It fails for a reason that is not a row's fault, or that none of the rows has alone.
            TooManyBadRowsError: There are more bad rows than there may be.
        """
        self.rows += batch.num_rows
        counted = self.stats.rows + batch.num_rows
        trial = _Trial(batch, score, failed)
        bad = self._search(trial)
        found = (_around(batch, score, outputs, [*bad]), _reasons(bad, batch.num_rows)) if bad else (trial.whole, None)
        self.stats.rows = counted  # each row once, however often it was tried
        return found

    def _search(self, trial: _Trial) -> dict[int, tuple[str, str]]:
        """The bad rows of a batch, in order, and why they are."""
        rows, bad = trial.rows, dict[int, tuple[str, str]]()
        failure = trial.failure(0, rows)
        if failure is None:
            return bad
        if not trial.finds_a_good_row():
            self.limits.refuse(self.bad + rows, self.rows, why=described(failure)[0])
        start, step = 0, rows
        while start < rows:
            stop = min(rows, start + step)
            if (failure := trial.failure(start, stop)) is None:
                start, step = stop, 2 * step
                continue
            row, reason = trial.first_failing(start, stop)
            if reason is None:
                if not bad and trial.passes_now():
                    return {}
                failure.details = (*failure.details, "none of its rows fails alone, so that none was left out")
                raise failure
            bad[row] = described(reason)
            self.bad += 1
            self.stats.note_bad_row(bad[row][0])
            self.limits.refuse(self.bad, self.rows, why=bad[row][0])
            start = row + 1
            # As many as lie between two bad rows, if the others are like those before.
            step = max(1, (rows - start) // len(bad))
        return bad


def with_errors(outputs: pa.Schema, column: str) -> pa.Schema:
    """Add the column that says why a row has no prediction, where it has a name.

    Raises:
        PlanError: An output has that name.
    """
    if column.casefold() in {name.casefold() for name in outputs.names}:
        raise PlanError(
            f"error_column {column!r} is also the name of an output.",
            next_step="give the column another name, or the output with `output`.",
        )
    return outputs.append(pa.field(column, ERROR_TYPE)) if column else outputs


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


def described(error: SparkInferError) -> tuple[str, str]:
    """Return the class of the exception that a row led to, the model's own where it raised, and a bounded message."""
    raised = isinstance(error, PredictError | StepFailedError) and not isinstance(error, ModelProcessError)
    of_user = error.__context__ if raised else None
    message = " ".join(" ".join((error.what, *error.details)).split())
    return type(of_user or error).__name__, message[:_MOST_LETTERS]


def _row_of(failure: SparkInferError | None) -> int | None:
    """Which row of those that failed is to blame, where that is known."""
    return failure.row if isinstance(failure, ModelProcessError) else None


class _Trial:
    """Scores parts of a batch, each once, to see whether they fail."""

    def __init__(self, batch: pa.RecordBatch, score: Score, failed: SparkInferError | None) -> None:
        self.rows = batch.num_rows
        self.whole: pa.RecordBatch | None = None
        """The outputs of the whole batch; None where that fails."""
        self._batch = batch
        self._score = score
        self._tried: dict[tuple[int, int], SparkInferError | None] = {(0, self.rows): failed} if failed else {}
        self._seen = failed is None
        self._filler: int | None = None

    def failure(self, start: int, stop: int) -> SparkInferError | None:
        """Why rows fail together; None where they do not."""
        part = start, stop
        if part not in self._tried:
            self._tried[part] = self._attempt(self._part(start, stop, self._filler))
        return self._tried[part]

    def passes_now(self) -> bool:
        """Whether all rows, which were said to have failed and have not been tried here, do not fail another time."""
        return not self._seen and self._attempt(self._batch) is None

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
        for row in some[:_FILLED] if rows > 1 else []:
            if self._attempt(self._part(row, row, row)) is None:
                whole = self._tried[0, rows]
                self._filler, self._tried = row, {(0, rows): whole}
                return True
        return False

    def _part(self, start: int, stop: int, filler: int | None) -> pa.RecordBatch:
        if filler is None:
            return self._batch if stop - start == self.rows else self._batch.slice(start, stop - start)
        places = np.full(self.rows, filler)
        places[start:stop] = np.arange(start, stop)
        return self._batch.take(pa.array(places))

    def _attempt(self, rows: pa.RecordBatch) -> SparkInferError | None:
        try:
            answered = self._score(rows)
        except SparkInferError as error:
            if not is_of_a_row(error):
                raise
            return error
        self.whole = answered if rows is self._batch else self.whole
        return None


def _around(batch: pa.RecordBatch, score: Score, outputs: pa.Schema, bad: list[int]) -> pa.RecordBatch:
    rows = batch.num_rows
    is_bad = np.zeros(rows, np.bool_)
    is_bad[bad] = True
    if is_bad.all():
        return pa.RecordBatch.from_arrays([pa.nulls(rows, each.type) for each in outputs], schema=outputs)
    places = np.where(is_bad, np.argmin(is_bad), np.arange(rows))
    answered = score(batch.take(pa.array(places)))
    return answered.take(pa.array(np.arange(rows), mask=is_bad))


def _reasons(bad: dict[int, tuple[str, str]], rows: int) -> pa.Array:
    names = [each.name for each in ERROR_TYPE]
    return pa.array(
        [dict(zip(names, bad[row], strict=True)) if row in bad else None for row in range(rows)], ERROR_TYPE
    )
