"""What lives through a whole benchmark: the workload, one Spark session, one pool of processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import SparkSession

from benchmarks.workload import Workload

SPARK_CONF = {
    "spark.driver.memory": "2g",
    # A heap that need not grow: growing it would be charged to whichever engine runs at that moment.
    "spark.driver.extraJavaOptions": "-Xms2g",
    "spark.driver.host": "localhost",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every engine is given besides the place to write to."""

    workload: Workload
    spark: SparkSession
    pool: ProcessPoolExecutor


@contextmanager
def open_bench(workload: Workload, *, cores: int, conf: Mapping[str, str]) -> Iterator[Bench]:
    """Start Spark with `cores` tasks at a time, and as many processes for the engines without Spark."""
    builder = SparkSession.builder.master(f"local[{cores}]").appName("benchmark")
    for key, value in conf.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    # Spawned, not forked: a fork would copy the threads' locks of the driver in whatever state they are.
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield Bench(workload=workload, spark=spark, pool=pool)
        finally:
            spark.stop()
