"""Open a session on a Spark Connect server."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spark_infer.core.exception_text import first_line
from spark_infer.errors import EnvironmentProblem, install_extra
from spark_infer.spark.quiet import without_query_context
from spark_infer.spark.versions import channel_builder

logger = logging.getLogger(__name__)

_MOST_SECONDS = 20.0
_URL = "it looks like sc://host:15002/;token=…;use_ssl=true"


def open_remote(url: str, conf: Mapping[str, str], *, most_seconds: float = _MOST_SECONDS) -> SparkSession:
    """Open a session on a Spark Connect server and give it settings.

    Settings that belong to the whole server stay as they are there, with one line in the log.

    Args:
        url: ``sc://host:port/;token=…``; never shown, since it may hold a token.
        conf: Settings of the session.
        most_seconds: How long the server may take to answer. pyspark itself would ask again for ten minutes.

    Raises:
        EnvironmentProblem: No server answers there, it refuses us, or a Python package is missing.
    """
    place = _reach(url, most_seconds)
    try:
        spark = SparkSession.Builder().remote(url).getOrCreate()
        version = spark.version
    except Exception as error:  # gRPC's and pyspark's
        raise EnvironmentProblem(
            f"The Spark Connect server at {place} gives no session ({type(error).__name__}).",
            details=[first_line(error)],
            next_step="check the token and the other parameters of the address.",
        ) from error
    logger.info("Using the Spark Connect server at %s (Spark %s).", place, version)
    _set(spark, conf)
    return spark


def _reach(url: str, most_seconds: float) -> str:
    """Wait until the server takes connections; return where it is."""
    try:
        import grpc  # type: ignore[import-untyped] # it ships no types

        builder = channel_builder(url)
    except ImportError as error:
        raise EnvironmentProblem(
            f"Spark Connect needs Python packages that are not here: {first_line(error)}",
            next_step=install_extra("connect"),
        ) from error
    except (PySparkException, ValueError) as error:
        raise EnvironmentProblem(
            "The address of the Spark Connect server cannot be read.", next_step=f"check spark.remote: {_URL}"
        ) from error
    with builder.toChannel() as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=most_seconds)
        except grpc.FutureTimeoutError as error:
            raise EnvironmentProblem(
                f"No Spark Connect server answers at {builder.endpoint} within {most_seconds:.0f} s.",
                next_step="check the address in spark.remote (or SPARK_REMOTE), that the server runs, and use_ssl.",
            ) from error
    return str(builder.endpoint)


def _set(spark: SparkSession, conf: Mapping[str, str]) -> None:
    kept = []
    for name, value in conf.items():
        try:
            with without_query_context():
                spark.conf.set(name, value)
        except Exception:  # static settings, and what a managed platform keeps to itself
            kept.append(name)
    if kept:
        logger.warning("The Spark Connect server keeps its own settings; not applied: %s", ", ".join(sorted(kept)))
