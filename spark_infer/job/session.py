"""The engine of a table job, and its Spark session: the running one, spark-submit's, or a new one that knows Delta."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_infer.config import JobConfig
from spark_infer.engines.base import Engine
from spark_infer.errors import SparkInferError
from spark_infer.job.choose_engine import engine_of
from spark_infer.models.registry.resolve import require_listed
from spark_infer.spark.starting_session import started, starting_session, stop

if TYPE_CHECKING:
    from spark_infer.spark import SparkSession


@contextmanager
def job_engine(
    config: JobConfig, *, log_file: Path | None = None, scores: bool = True, runs: bool = False
) -> Iterator[Engine[Any]]:
    """Lend the engine of a job, and take the job's secrets out of the errors that are raised meanwhile.

    Spark starts in the background, and the engine waits for it where it needs it first. A session that this starts is
    stopped at the end, also after an error; one that ran before is not.

    Args:
        config: The job.
        log_file: Where Spark writes from now on; None leaves it on the screen.
        scores: Whether the job's model is needed: for one that does not exist, Spark does not start.
        runs: Whether the job is to run when it is prepared.

    Raises:
        PlanError: There is no such model.
        EnvironmentProblem: PySpark is not installed. The engine raises it where Java, Spark, a jar or an address does
            not fit.
    """
    with hiding_secrets(config), ExitStack() as at_end:
        session = _session_of(config, log_file, scores=scores)
        yield engine_of(config, lambda: at_end.enter_context(session), runs=runs)


@contextmanager
def _session_of(config: JobConfig, log_file: Path | None, *, scores: bool) -> Iterator[Future[SparkSession]]:
    from spark_infer.spark.session import has_session

    if has_session():
        if scores:
            find_model(config)
        yield started(open_session(config, log_file=log_file))
        return
    with starting_session(partial(_open, config, log_file)) as starting:
        if scores:
            find_model(config)
        starting.go_on()
        yield starting.session


def _open(config: JobConfig, log_file: Path | None, go_on: Callable[[], None]) -> SparkSession:
    return open_session(config, log_file=log_file, go_on=go_on)


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
            stop(spark)


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


def find_model(config: JobConfig) -> None:
    """Check that the job's model exists, which takes no Spark.

    Raises:
        PlanError: There is no such model, version, alias, run or folder, or the registry does not answer.
    """
    model = config.model
    require_listed(model.uri, tracking_uri=model.tracking_uri, registry_uri=model.registry_uri)


def open_session(
    config: JobConfig, *, log_file: Path | None = None, go_on: Callable[[], None] = lambda: None
) -> SparkSession:
    """Return the session that is running, or start the one that the job and spark-submit ask for.

    Args:
        config: The job.
        log_file: Where Spark writes from now on; None leaves it on the screen.
        go_on: Called when a JVM of this machine is up, before Spark starts in it; may raise, to end that.

    Raises:
        EnvironmentProblem: Java, Spark, a jar or an address does not fit.
    """
    from spark_infer.spark.session import start_session

    formats = _format_conf(config)
    return start_session(config.spark, app_name=config.name, delta_conf=formats, log_file=log_file, go_on=go_on)


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
