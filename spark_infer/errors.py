"""The errors of spark_infer, in two families.

    SparkInferError
    ├── PlanError                  refused before any Spark task started; nothing changed on disk
    │   ├── ConfigError            an option or a job file is wrong
    │   ├── EnvironmentProblem     Python, Java, Spark or a jar on this machine does not fit
    │   ├── ModelNotFoundError     the URI names no model, version, alias or folder
    │   ├── RegistryUnavailableError   the MLflow server or store does not answer
    │   ├── ModelRefusedError      the model's files cannot be served, or are not what they claim
    │   ├── SchemaMismatchError    the table does not fit the signature; every problem listed
    │   ├── ResourcesError         no executor can give a task the cores or GPUs it asks for
    │   ├── StepError              a preprocess or postprocess step cannot be imported or used
    │   ├── SourceError            the source table cannot be found or read
    │   ├── TargetError            the target exists, is the source, or does not fit the write mode
    │   ├── UnfinishedRunError     an unfinished run of this job planned something else
    │   └── LedgerRefusedError     a LedgerError that was found before anything ran
    └── RunError                   failed while running; says what was and was not written
        ├── DeadlineError          a step or the whole job took longer than it may
        ├── DeviceError            the GPU asked for is not seen by the worker or by the model's framework
        ├── ModelFilesError        the model's files on a node are missing or damaged
        ├── ModelLoadError         the model did not load on a worker
        ├── InputValueError        a value of the table has no place in the model's input type
        ├── PredictError           the model raised
        ├── PredictionShapeError   the model returned the wrong rows, columns or types
        ├── StepFailedError        a preprocess or postprocess step raised, or changed the row count
        ├── SourceReadError        a file of the source is damaged or vanished
        │   └── SparkMustReadError     a file that only Spark reads as it should; a run goes on without the direct plane
        ├── WriteError             the target could not be written
        │   └── CommitConflictError    another writer changed the table in a way that the commit cannot go with
        └── LedgerError            the account of an unfinished run is damaged, or another driver took the run over

Every message says what happened, where, what was allowed and what to do next, in at most a few
lines, and holds no row values. All errors pickle.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from spark_infer.printable import printable_lines

_MOST_CHARACTERS = 4_000

MOST_PROBLEMS = 30
"""How many problems of a table one error lists."""


class SparkInferError(Exception):
    """Root of every error that spark_infer raises on purpose.

    Args:
        what: One sentence: what is wrong, and where.
        details: Further lines: what was got, what is allowed.
        next_step: What the reader can do now.

    Attributes:
        exit_code: With which the command line ends: 2 refused, 3 environment, 4 failed while running.

    Example:
        >>> print(SparkInferError("The disk is full.", details=["0 bytes are left"], next_step="free some space."))
        The disk is full.
          0 bytes are left
        Next: free some space.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, details: Iterable[str] = (), next_step: str = "") -> None:
        self.what = _bounded(what)
        self.details = _most([_bounded(line) for line in details])
        self.next_step = _bounded(next_step)
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = [self.what, *(f"  {line}" for line in self.details)]
        if self.next_step:
            lines.append(f"Next: {self.next_step}")
        return printable_lines(lines)

    def rephrase(self, change: Callable[[str], str]) -> None:
        """Pass every line of the message through ``change``."""
        self.what = change(self.what)
        self.details = tuple(change(line) for line in self.details)
        self.next_step = change(self.next_step)
        self.args = (self.what,)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.details, self.next_step)


class PlanError(SparkInferError):
    """Refused before any Spark task started; nothing has changed on disk.

    Example:
        >>> try:
        ...     job = ScoringJob.from_yaml("nightly.yaml")
        ... except PlanError as error:
        ...     print(error.what)
        there is no job file nightly.yaml
    """

    exit_code = 2


class ConfigError(PlanError):
    """An option or a job file is wrong."""


class EnvironmentProblem(PlanError):
    """Python, Java, Spark or a jar on this machine does not fit."""

    exit_code = 3


class ModelNotFoundError(PlanError):
    """The URI names no model, version, alias, run or folder."""


class RegistryUnavailableError(PlanError):
    """The MLflow server or store does not answer."""

    exit_code = 3


class ModelRefusedError(PlanError):
    """The model's files cannot be served here, or are not what they claim to be."""


class SchemaMismatchError(PlanError):
    """The table does not fit the model's signature; the problems are listed at once, at most 30 of them."""

    def __init__(
        self,
        what: str,
        *,
        details: Iterable[str] = (),
        next_step: str = "",
        problems: Sequence[str] | None = None,
    ) -> None:
        super().__init__(what, details=details if problems is None else problems, next_step=next_step)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each column that does not fit, and how many more there are."""
        return self.details


class ResourcesError(PlanError):
    """No executor can give a task the cores or GPUs that it asks for; Spark would wait for ever."""


class StepError(PlanError):
    """A preprocess or postprocess step cannot be imported or used."""


class SourceError(PlanError):
    """The source table cannot be found or read."""


class TargetError(PlanError):
    """The target exists, is the source itself, or does not fit the write mode."""


class UnfinishedRunError(PlanError):
    """An unfinished run of this job planned something else; the details are the differences."""


class RunError(SparkInferError):
    """Failed while running.

    Example:
        >>> try:
        ...     report = ScoringJob.from_yaml("job.yaml").run(spark)
        ... except RunError as error:
        ...     print(error, "The same call goes on from here.")
    """

    exit_code = 4


class DeadlineError(RunError):
    """A step of a worker, or the whole job, took longer than it may."""


class DeviceError(RunError):
    """The GPU that was asked for is not seen by the worker, or by the framework of the model."""


class ModelFilesError(RunError):
    """The model's files on a node are missing or damaged."""


class ModelLoadError(RunError):
    """The model did not load."""


class InputValueError(RunError):
    """A value of the table has no place in the model's input type."""


class PredictError(RunError):
    """The model raised while predicting."""


class PredictionShapeError(RunError):
    """The model returned the wrong number of rows, columns, or the wrong types."""


class StepFailedError(RunError):
    """A preprocess or postprocess step raised, or changed the number of rows."""


class SourceReadError(RunError):
    """A file of the source is damaged or vanished while it was read."""


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


class LedgerError(RunError):
    """The account of an unfinished run is damaged, or another driver took the run over."""


class LedgerRefusedError(PlanError, LedgerError):
    """A ledger is damaged, or somebody else may have written it; found before anything ran."""


def nearest(name: str, names: Iterable[str], *, most: int = 3) -> str:
    """Return ``" (did you mean 'a' or 'b'?)"`` for the names most like ``name``, or ``""``.

    Names that differ only in case count as nearest of all.
    """
    return did_you_mean(nearest_names(name, names, most=most))


def did_you_mean(names: Sequence[str]) -> str:
    """Return ``" (did you mean 'a' or 'b'?)"`` for names that were found to be near, or ``""`` for none."""
    return " (did you mean " + " or ".join(repr(other) for other in names) + "?)" if names else ""


def nearest_names(name: str, names: Iterable[str], *, most: int = 3) -> list[str]:
    """Return at most ``most`` of ``names`` that are like ``name``, the likest first."""
    names = list(names)
    folded = [other for other in names if other.casefold() == name.casefold()]
    return folded or difflib.get_close_matches(name, names, n=most, cutoff=0.6)


def _most(lines: Sequence[str]) -> tuple[str, ...]:
    """Cut a list of what there are thousands of."""
    more = len(lines) - MOST_PROBLEMS
    return tuple(lines) if more <= 1 else (*lines[:MOST_PROBLEMS], f"and {more:,} more")


def _bounded(line: str) -> str:
    """Cut a line that lists what there are thousands of."""
    more = len(line) - _MOST_CHARACTERS
    return line if more <= 0 else f"{line[:_MOST_CHARACTERS]} … ({more:,} more characters)"


def install_extra(name: str) -> str:
    """Say how to install an extra of this package, which is installed from its source and not from an index."""
    return f"pip install '.[{name}]' in the checkout of spark-infer"


def _rebuild(cls: type[SparkInferError], what: str, details: tuple[str, ...], next_step: str) -> SparkInferError:
    return cls(what, details=details, next_step=next_step)
