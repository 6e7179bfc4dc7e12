"""The engine of a job: the one place that chooses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from spark_infer.config import JobConfig
from spark_infer.engines.base import Engine
from spark_infer.errors import EnvironmentProblem, install_extra

if TYPE_CHECKING:
    from spark_infer.spark import SparkSession


def engine_of(
    config: JobConfig, start: Callable[[], Future[SparkSession]], *, shared_by: int = 1, runs: bool = False
) -> Engine[Any]:
    """Return the engine that a job asks for.

    Args:
        config: The job.
        start: Returns the session for engine `spark`, which may still be starting; not called for engine `local`.
        shared_by: How many jobs run at once, between which engine `local` divides this machine.
        runs: Whether the job is to run when it is prepared.

    Raises:
        EnvironmentProblem: PySpark, or pandas, is not installed.
    """
    if config.engine == "local":
        from spark_infer.engines.local.engine import LocalEngine

        return LocalEngine(config.resources, shared_by=shared_by, runs=runs)
    if find_spec("pandas") is None:
        raise _not_installed("pandas, without which PySpark runs no Python functions,")
    try:
        import_module("spark_infer.spark.session")
        session = start()  # before the rest is imported, which takes as long as a JVM to come up
        from spark_infer.engines.spark.engine import SparkEngine
    except ModuleNotFoundError as error:
        if error.name not in ("pyspark", "py4j"):
            raise
        raise _not_installed("PySpark") from error
    return SparkEngine(session, config.resources)


def _not_installed(what: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"Engine `spark` was asked for, and {what} is not installed.",
        next_step=f"{install_extra('spark')}, or set engine: local.",
    )
