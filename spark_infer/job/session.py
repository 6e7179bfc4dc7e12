"""The engine of a table job, and its Spark session: the running one, spark-submit's, or a new one that knows Delta."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_infer.config import JobConfig
from spark_infer.engines.base import Engine
from spark_infer.errors import SparkInferError
from spark_infer.job.choose_engine import engine_of
from spark_infer.models.registry.resolve import require_listed

if TYPE_CHECKING:
    from spark_infer.spark import SparkSession

logger = logging.getLogger(__name__)


@contextmanager
def job_engine(config: JobConfig, *, log_file: Path | None = None) -> Iterator[Engine[Any]]:
    """Lend the engine of a job, and take the job's secrets out of the errors that are raised meanwhile.

    A Spark session that this starts is stopped at the end, also after an error; one that ran before is not.

    Args:
        config: The job.
        log_file: Where Spark writes from now on; None leaves it on the screen.

    Raises:
        EnvironmentProblem: Java, Spark, a jar or an address does not fit.
    """
    with hiding_secrets(config), ExitStack() as at_end:
        yield engine_of(config, lambda: at_end.enter_context(keep_session(config, log_file=log_file)))


@contextmanager
def keep_session(config: JobConfig, *, log_file: Path | None = None) -> Iterator[SparkSession]:
    """Lend the session that is running, or one that is started and stopped at the end, as `open_session` does."""
    from spark_infer.spark.session import has_session

    ours = not has_session()
    spark = open_session(config, log_file=log_file)
    try:
        yield spark
    finally:
        if ours:
            _stop(spark)


@contextmanager
def session_of(master: str | None, *, log_file: Path | None = None) -> Iterator[SparkSession]:
    """Lend a session for work without tables, as `keep_session` does for a job."""
    table = {"path": "nowhere", "format": "parquet"}
    config = JobConfig.model_validate({"model": "none", "source": table, "target": table, "spark": {"master": master}})
    with keep_session(config, log_file=log_file) as spark:
        yield spark


@contextmanager
def hiding_secrets(config: JobConfig) -> Iterator[None]:
    """Take the secrets of a job out of its errors."""
    try:
        yield
    except SparkInferError as error:
        error.rephrase(config.hide)
        raise


def _stop(spark: SparkSession) -> None:
    try:
        spark.stop()
    except Exception as error:  # its Java process may be gone, which the command then says itself
        logger.warning("Spark could not be stopped: %s", error)


def find_model(config: JobConfig) -> None:
    """Check that the job's model exists, which takes no Spark.

    Raises:
        PlanError: There is no such model, version, alias, run or folder, or the registry does not answer.
    """
    model = config.model
    require_listed(model.uri, tracking_uri=model.tracking_uri, registry_uri=model.registry_uri)


def open_session(config: JobConfig, *, log_file: Path | None = None) -> SparkSession:
    """Return the session that is running, or start the one that the job and spark-submit ask for.

    Args:
        config: The job.
        log_file: Where Spark writes from now on; None leaves it on the screen.

    Raises:
        EnvironmentProblem: Java, Spark, a jar or an address does not fit.
    """
    from spark_infer.spark.session import start_session

    return start_session(config.spark, app_name=config.name, delta_conf=_format_conf(config), log_file=log_file)


def _format_conf(config: JobConfig) -> dict[str, str]:
    """Return what the formats of the job's tables need; nothing where a server has it.

    A side that names no format may be of each one that is installed.
    """
    if config.spark.remote:
        return {}
    from spark_infer.tables.formats import FORMATS

    asked = {config.source.format, config.target.format}
    wanted = [each for each in FORMATS.values() if each.name in asked or (None in asked and each.is_installed())]
    return {name: value for each in wanted for name, value in each.session_conf().items()}
