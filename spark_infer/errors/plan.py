"""What is refused before anything ran."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
