"""Rows that a model fails for: found in the batch that failed, and left without a prediction, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from spark_infer.config import ScoreOptions
from spark_infer.core.bad_row_search import Score, Trial
from spark_infer.core.stats import COUNTS, Stats
from spark_infer.errors import (
    ModelProcessError,
    PlanError,
    PredictError,
    SparkInferError,
    StepFailedError,
    TooManyBadRowsError,
    UndecodableError,
)

ERROR_TYPE = pa.struct([pa.field("error_class", pa.string()), pa.field("error_message", pa.string())])
"""Why a row has no prediction: the class of the exception, and a bounded message."""

ALWAYS_JUDGED = 100
"""Rows below which a share says little: as many bad rows as are allowed of these are allowed of fewer."""

PROBED = 100
"""Rows of a task's first batch that are scored ahead of it, where bad rows have a limit."""
_LEAST_PROBED = 4
"""How many times as many rows a batch has that is worth it."""

_MOST_LETTERS = 500


@dataclass(frozen=True, kw_only=True)
class BadRowLimits:
    """How many rows may be without a prediction.

    Attributes:
        most: The most; None for any number.
        fraction: The largest share of the rows.
    """

    most: int | None = None
    fraction: float = 1.0

    @property
    def are_set(self) -> bool:
        """Whether so many bad rows are possible that they end a task."""
        return self.most is not None or self.fraction < 1

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
        any_size: Whether the model is known to take batches of any size.
        rows: Rows that were looked at.
        bad: How many of them were bad.
    """

    limits: BadRowLimits
    stats: Stats
    any_size: bool = False
    rows: int = 0
    bad: int = 0
    _probed: Trial | None = field(default=None, init=False, repr=False)

    def probe(self, batch: pa.RecordBatch, score: Score) -> None:
        """Score a few rows of a task's first batch ahead of it, so that a broken model is stopped before it costs much.

        Nothing is kept of what they are answered: they are scored again with the whole batch, and counted then. So the
        predictions are those of batches that no limit has cut.

        Args:
            batch: The next rows of the task.
            score: Scores them.

        Raises:
            TooManyBadRowsError: The model fails for these rows, and for each of some that lie all over the batch.
            SparkInferError: It fails for these rows, and not for all of the others.
        """
        if self.rows or not self.limits.are_set or batch.num_rows <= _LEAST_PROBED * PROBED:
            return
        counted = {name: getattr(self.stats, name) for name in COUNTS}
        trial = Trial(batch, score, any_size=self.any_size)
        try:
            failure = trial.failure(0, PROBED)
            if failure is not None and not trial.finds_a_good_row():
                self.limits.refuse(batch.num_rows, batch.num_rows, why=described(failure)[0])
        finally:
            vars(self.stats).update(counted)
        if failure is not None and not trial.fills_up:
            self._probed = trial
            raise failure

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
        trial, self._probed = self._probed, None
        if trial is None or trial.batch is not batch:
            trial = Trial(batch, score, any_size=self.any_size)
        if failed is not None:
            trial.failed(failed)
        failure = trial.failure(0, batch.num_rows)
        if isinstance(failure, UndecodableError) and failure.rows == batch.num_rows:
            found = self._without_undecodable(batch, score, outputs, failure.reasons)
        else:
            bad = self._search(trial)
            answered = _around(batch, score, outputs, [*bad]) if bad else trial.whole
            found = answered, _reasons(bad, batch.num_rows) if bad else None
        self.stats.rows = counted  # each row once, however often it was tried
        return found

    def _without_undecodable(
        self, batch: pa.RecordBatch, score: Score, outputs: pa.Schema, reasons: Mapping[int, tuple[str, str]]
    ) -> tuple[pa.RecordBatch, pa.Array]:
        """Score the rows that can be decoded as if the others were not there; what failed to be decoded named all."""
        rows, bad = batch.num_rows, dict(reasons)
        self.bad += len(bad)
        for kind, _ in bad.values():
            self.stats.note_bad_row(kind)
        self.limits.refuse(self.bad, self.rows, why=next(iter(bad.values()))[0])
        good = np.setdiff1d(np.arange(rows), [*bad])
        if not len(good):
            return _nulls(outputs, rows), _reasons(bad, rows)
        self.rows -= len(good)
        answered, errors = self.score(batch.take(pa.array(good)), score, outputs)
        for at, error in zip(good.tolist(), [] if errors is None else errors.to_pylist(), strict=False):
            if error is not None:
                bad[at] = error["error_class"], error["error_message"]
        places = np.zeros(rows, np.int64)
        places[good] = np.arange(len(good))
        undecodable = np.isin(np.arange(rows), [*reasons])
        return answered.take(pa.array(places, mask=undecodable)), _reasons(bad, rows)

    def _search(self, trial: Trial) -> dict[int, tuple[str, str]]:
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


def described(error: SparkInferError) -> tuple[str, str]:
    """Return the class of the exception that a row led to, the model's own where it raised, and a bounded message."""
    raised = isinstance(error, PredictError | StepFailedError) and not isinstance(error, ModelProcessError)
    of_user = error.__context__ if raised else None
    message = " ".join(" ".join((error.what, *error.details)).split())
    return type(of_user or error).__name__, message[:_MOST_LETTERS]


def _around(batch: pa.RecordBatch, score: Score, outputs: pa.Schema, bad: list[int]) -> pa.RecordBatch:
    rows = batch.num_rows
    is_bad = np.zeros(rows, np.bool_)
    is_bad[bad] = True
    if is_bad.all():
        return _nulls(outputs, rows)
    places = np.where(is_bad, np.argmin(is_bad), np.arange(rows))
    answered = score(batch.take(pa.array(places)))
    return answered.take(pa.array(np.arange(rows), mask=is_bad))


def _nulls(outputs: pa.Schema, rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(rows, each.type) for each in outputs], schema=outputs)


def _reasons(bad: dict[int, tuple[str, str]], rows: int) -> pa.Array:
    names = [each.name for each in ERROR_TYPE]
    return pa.array(
        [dict(zip(names, bad[row], strict=True)) if row in bad else None for row in range(rows)], ERROR_TYPE
    )
