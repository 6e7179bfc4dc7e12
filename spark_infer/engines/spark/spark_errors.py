"""What Spark raises around a job, as errors that say what to do: while it is planned, and when Spark itself is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spark_infer.errors import EnvironmentProblem, PlanError, RunError, SparkInferError
from spark_infer.spark.analysis import condition, sentence_of
from spark_infer.spark.exceptions import is_lost, is_sparks, translate
from spark_infer.spark.quiet import without_query_context

_MEMORY = "where it was killed for its memory, lower spark.driver.memory or free some first"


@contextmanager
def while_planning() -> Iterator[None]:
    """Turn what Spark raises while a job is planned into an error that says what to do.

    Raises:
        EnvironmentProblem: Spark itself is gone.
        PlanError: Spark refused something, in its own words.
    """
    try:
        with without_query_context():
            yield
    except Exception as error:
        if is_lost(error):
            raise EnvironmentProblem(
                "Spark was lost while the job was planned: its Java process ended.",
                details=["nothing was scored, and no table has changed"],
                next_step=f"run the same command again, in a notebook with a new session; {_MEMORY}.",
            ) from error
        if isinstance(error, SparkInferError) or not is_sparks(error):
            raise
        raise translate(error) or PlanError(
            f"Spark could not plan the job: {sentence_of(error)}",
            details=[condition(error) or type(error).__name__, "nothing was scored, and no table has changed"],
            next_step="check the source and the target with Spark itself; the log has the rest.",
        ) from error


@contextmanager
def while_running() -> Iterator[None]:
    """Say that Spark itself is gone, where it is, in place of the error that this led to.

    Raises:
        RunError: Spark is gone.
    """
    try:
        with without_query_context():
            yield
    except Exception as error:
        if not is_lost(error):
            raise
        raise RunError(
            "Spark was lost while the job ran: its Java process ended.",
            details=["units that were done stay done"],
            next_step=f"run the same command again, in a notebook with a new session: it goes on from here; {_MEMORY}.",
        ) from error
