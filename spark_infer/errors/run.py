"""What failed while running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from typing_extensions import Self

from spark_infer.errors.error import SparkInferError
from spark_infer.errors.plan import PlanError, StepError

_MOST_FILES = 3


class RunError(SparkInferError):
    """Failed while running.

    Example:
        >>> error = RunError("The target could not be written.", next_step="free some space, then run again.")
        >>> error.exit_code, error.next_step
        (4, 'free some space, then run again.')
    """

    exit_code = 4

    @classmethod
    def worker_cannot_reach(cls, uri: str) -> Self:
        """A worker has no access to a table's file system."""
        return cls(
            f"This worker cannot reach {uri}.",
            next_step="give it what pyarrow.fs needs for this file system, or set plane: spark.",
        )

    @classmethod
    def process_died(cls, process: str, status: object, *, details: Iterable[str] = (), more_memory: str) -> Self:
        """A process of ours is gone; ``more_memory`` says how the next one gets more of it."""
        return cls(
            f"{process} died with exit status {status}: killed for memory, or crashed in native code.",
            details=details,
            next_step=f"lower batch_size or max_batch_bytes, or {more_memory}.",
        )


class WorkerLostError(RunError):
    """A worker process died without an exception."""


class DeadlineError(RunError):
    """A step of a worker, or the whole job, took longer than it may."""


class StoppedError(RunError):
    """The time of `max_runtime` is over: what was done stays done, and the same call goes on from there.

    Example:
        >>> error = StoppedError.by_time("24 of 40 units are done, and 24 of them are in the target")
        >>> error.exit_code
        5
    """

    exit_code = 5
    kind = "stopped"

    @classmethod
    def by_time(cls, how_far: str) -> Self:
        """No more units were begun; ``how_far`` says what is done."""
        return cls(
            "Stopped at the end of a unit, because the time of max_runtime is over.",
            details=[how_far],
            next_step="run the same command again: it goes on from there.",
        )


class DeviceError(RunError):
    """The GPU that was asked for is not seen by the worker, or by the framework of the model."""


class ModelFilesError(RunError):
    """The model's files on a node are missing or damaged."""


class ModelLoadError(RunError):
    """The model did not load."""


class InputValueError(RunError):
    """A value of the table has no place in the model's input type."""

    @classmethod
    def nulls(cls, column: str, nulls: int, rows: int, *, declared: str, why: str = "", instead: str = "") -> Self:
        """Nulls in a column whose type has none.

        Args:
            column: Its name.
            nulls: How many there are.
            rows: In a batch of how many rows.
            declared: Its type, and who declares it.
            why: Why there is no place for a null, where ``declared`` does not say so.
            instead: How the model could be logged to take nulls.
        """
        return cls(
            f"Column {column!r} is {declared} and holds {nulls} null(s) in a batch of {rows} rows{why and f'; {why}'}.",
            next_step=f'keep these rows out with where="{column} IS NOT NULL", fill them in a preprocess function'
            + (f", or log the model with {instead}." if instead else "."),
        )


class PredictError(RunError):
    """The model raised while predicting."""


class ModelProcessError(PredictError):
    """The process of an isolated model failed for a batch; a row of it may be to blame.

    Attributes:
        row: Which one, where that is known; only in the process that found it out.
    """

    row: int | None = None


class ModelCrashedError(ModelProcessError):
    """The process of an isolated model ended while it predicted."""

    @classmethod
    def on_batch(cls, ended: str, rows: int) -> Self:
        """A process that is gone; ``ended`` says by what."""
        return cls(
            f"The process of the model ended while it predicted a batch of {rows:,} rows: {ended}.",
            next_step="find the row with on_error: null or quarantine, then predict it in plain Python; where no row "
            "fails alone, lower batch_size.",
        )


class ModelHungError(ModelProcessError, DeadlineError):
    """The process of an isolated model was ended, because a predict call took too long."""

    @classmethod
    def on_batch(cls, expired: DeadlineError, seconds: float, rows: int) -> Self:
        """A call that took longer than it may, with where it stood."""
        return cls(
            f"The model took longer than {seconds:g} seconds for a batch of {rows:,} rows, and its process was ended.",
            details=expired.details,
            next_step=expired.next_step,
        )


class ModelMemoryError(ModelProcessError):
    """A row alone takes more memory than the process of an isolated model may have."""

    @classmethod
    def on_row(cls, error_class: str) -> Self:
        """A row for which memory ran out."""
        return cls(
            f"The model ran out of memory for one row alone ({error_class}).",
            next_step="look at the row; or allow more with score.isolation: {by: process, memory_bytes: …}.",
        )


class PredictionShapeError(RunError):
    """The model returned the wrong number of rows, columns, or the wrong types."""


class RowOrderError(PredictionShapeError):
    """The model answers its rows in another order."""


class TooFewRowsError(RunError):
    """A run found fewer rows than `min_rows` or `fail_on_empty` ask for; nothing was published."""


class TooManyBadRowsError(RunError):
    """More rows are without a prediction than `max_bad_rows` and `max_bad_fraction` allow."""

    @classmethod
    def above(cls, bad: int, rows: int, limit: str, why: str) -> Self:
        """More than a limit.

        Args:
            bad: Rows without a prediction.
            rows: Rows that were looked at.
            limit: The option and its value.
            why: The class of the exception of one of them.
        """
        return cls(
            f"The model fails for {bad:,} of the first {rows:,} rows, and {limit}.",
            details=[f"one of them: {why}"],
            next_step="look at it with on_error: fail, and take out max_bad_rows, error_column and quarantine, which "
            "do not go with that; then repair the model or the rows, or raise the limit and run the same command "
            "again.",
        )


class UnexpectedPredictionsError(RunError):
    """Predictions are not as `expect` says."""

    @classmethod
    def of_column(cls, name: str, what: str, bound: str) -> Self:
        """A column is beyond a bound.

        Args:
            name: The prediction column.
            what: What was seen, without values.
            bound: The option and its value.
        """
        return cls(
            f"The predictions in column {name!r} are not as expected: {what}, and {bound}.",
            details=["nothing of the unit that they belong to was published"],
            next_step="look at the model and its input (spark-infer preview); then run the same command again, with "
            "another `expect` if the predictions are right.",
        )


class TooManyGroupsError(RunError):
    """The columns of `aggregate.by` have more values than a summary may have rows."""

    @classmethod
    def above(cls, groups: int, most: int, by: Iterable[str]) -> Self:
        """More groups than a limit, of which ``by`` names the columns."""
        return cls(
            f"`aggregate` makes {groups:,} groups or more, and a summary has at most {most:,}.",
            details=[f"they are of {', '.join(by)}"],
            next_step="group by columns with fewer values: a day instead of a time, a segment instead of a customer.",
        )


class StepFailedError(RunError):
    """A preprocess or postprocess step raised, or changed the number of rows."""

    @classmethod
    def on_worker(cls, error: StepError) -> Self:
        """A step that the driver could use, and a worker cannot."""
        return cls(error.what, details=["it was found on the driver"], next_step=error.next_step)


class UndecodableError(StepFailedError):
    """Images or sounds of some rows cannot be decoded.

    Attributes:
        reasons: Row of the batch to the class and the text of the reason; only in the process that found it out.
        rows: How many rows the batch had.
    """

    reasons: Mapping[int, tuple[str, str]] = {}
    rows: int = 0

    @classmethod
    def of_rows(cls, reasons: Mapping[int, tuple[str, str]], rows: int) -> Self:
        """Some rows of a batch of ``rows``, each with its reason."""
        shown = [text for _, text in [*reasons.values()][:_MOST_FILES]]
        more = len(reasons) - len(shown)
        error = cls(
            f"{len(reasons):,} of {rows:,} rows cannot be decoded.",
            details=[*shown, *([f"and {more:,} more"] if more else [])],
            next_step="have on_error: null or quarantine leave such rows without a prediction, or keep them out with "
            "`where` or `pattern`.",
        )
        error.reasons, error.rows = reasons, rows
        return error


class SourceReadError(RunError):
    """A file of the source is damaged or vanished while it was read, or a feature table has a key twice."""


class SparkMustReadError(SourceReadError):
    """A file holds values that the direct plane might read otherwise than Spark."""

    def __init__(self, what: str, why: str = "", *, details: Iterable[str] = (), next_step: str = "") -> None:
        if why:
            what = f"The direct plane cannot read {what}: {why}."
            next_step = next_step or "set plane: auto or plane: spark, and Spark reads it."
        super().__init__(what, details=details, next_step=next_step)


class WriteError(RunError):
    """The target could not be written."""


class CommitConflictError(WriteError):
    """Another writer changed the table while this run scored, in a way that the commit cannot go with."""

    @classmethod
    def during(cls, table: str, when: str) -> Self:
        """A commit that lost against another one; ``when`` ends the sentence."""
        return cls(
            f"Another writer changed {table} {when}",
            details=["Nothing of this commit is in the table; the rows are scored and kept."],
            next_step="run the same command again: it goes on from here.",
        )


class LedgerError(RunError):
    """The account of an unfinished run is damaged, or another driver took the run over."""


class TakenOverError(LedgerError):
    """Another driver of the same run has taken over the files that this one was about to put in their place."""

    @classmethod
    def of_run(cls, run: str) -> Self:
        """A driver whose staged files another one has taken."""
        return cls(
            f"Another driver of the run {run} has taken over, and puts its rows in their place now.",
            next_step="let that one finish; the same command then reports what it did.",
        )


class LedgerRefusedError(PlanError, LedgerError):
    """A ledger is damaged, or somebody else may have written it; found before anything ran."""
