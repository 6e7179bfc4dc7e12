"""Keep PySpark from logging an exception that is about to be raised in other words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.errors import PySparkException

from spark_infer.core.exception_text import first_line
from spark_infer.errors import SourceError
from spark_infer.spark.versions import query_context_loggers


@contextmanager
def without_query_context() -> Iterator[None]:
    """Silence what PySpark logs, with a stack trace, when Spark's analysis refuses a query."""
    loggers = query_context_loggers()
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


@contextmanager
def refusing_condition() -> Iterator[None]:
    """Turn Spark's refusal of a condition on rows into an error of the source.

    Raises:
        SourceError: Spark's analysis refused it.
    """
    try:
        with without_query_context():
            yield
    except PySparkException as error:
        raise SourceError(
            "The condition `where` does not fit the DataFrame.",
            details=[first_line(error)],
            next_step="write an SQL condition on its columns.",
        ) from error
