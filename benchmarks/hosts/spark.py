"""The host of the engines on Spark: one session, as a long-lived driver would have it."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from functools import partial

from pyspark.sql import SparkSession

from benchmarks.engines import ABLATIONS, ENGINES
from benchmarks.hosts.protocol import serve, take_output

SPARK_CONF = {
    "spark.driver.memory": "2g",
    # A heap that need not grow: growing it would be charged to whichever engine runs at that moment.
    "spark.driver.extraJavaOptions": "-Xms2g",
    "spark.driver.host": "localhost",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    # A fifth of a second less for eight tasks: TCP may hold back what follows a small packet.
    "spark.python.unix.domain.socket.enabled": "true",
}


def main() -> None:
    """Serve every engine on Spark until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--conf", action="append", default=[])
    options = parser.parse_args()
    replies = take_output()
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    spark = _session(options.cores, dict(pair.split("=", 1) for pair in options.conf))
    try:
        serve({name: partial(run, spark) for name, run in (ENGINES | ABLATIONS).items()}, replies)
    finally:
        spark.stop()


def _session(cores: int, conf: Mapping[str, str]) -> SparkSession:
    builder = SparkSession.builder.master(f"local[{cores}]").appName("benchmark")
    for key, value in (SPARK_CONF | dict(conf)).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


if __name__ == "__main__":
    main()
