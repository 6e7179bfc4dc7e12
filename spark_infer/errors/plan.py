"""What is refused before anything ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from spark_infer.errors.error import SparkInferError


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
    kind = "refused"
    parts: tuple[PlanError, ...] = ()
    """The refusals that it was made of by `Together`."""


class Together:
    """Checks of which none needs another: what they refuse comes in one error."""

    def __init__(self) -> None:
        self._refused: list[PlanError] = []

    def __bool__(self) -> bool:
        return bool(self._refused)

    @contextmanager
    def check(self) -> Iterator[None]:
        """Keep what the block refuses; a machine or server that does not do is an error at once."""
        try:
            yield
        except PlanError as error:
            if error.exit_code != PlanError.exit_code:
                raise
            self._refused += error.parts or (error,)

    def refuse(self) -> None:
        """Raise what was refused, if anything was: the error itself, or one with all of them.

        Raises:
            PlanError: Of the class that all of them have.
        """
        if not self._refused:
            return
        first, *others = self._refused
        if not others:
            raise first
        kind = type(first) if len(set(map(type, self._refused))) == 1 else PlanError
        error = kind(
            f"{len(self._refused)} things do not fit.",
            details=[
                line for each in self._refused for line in (each.what, *(f"  {detail}" for detail in each.details))
            ],
            next_step=" ".join(dict.fromkeys(each.next_step for each in self._refused if each.next_step)),
        )
        error.parts = tuple(self._refused)
        raise error from first


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


class BookmarkMovedError(TargetError):
    """Another command has added new rows to the target while this one was planned; a further plan knows them."""


class UnfinishedRunError(PlanError):
    """An unfinished run of this job planned something else; the details are the differences."""
