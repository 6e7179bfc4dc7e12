"""All Python workers of an executor feed one model, which outlives them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from spark_infer import score
from tests.spark.made import CountingModel


def python_workers() -> set[int]:
    """The workers that the daemon of this session has forked."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")[::2]
            except OSError:  # ended since
                continue
            parents[int(folder.name)] = (name, int(rest.split()[1]))
    java = {pid for pid, (name, parent) in parents.items() if name == "java" and parent == os.getpid()}
    daemons = {pid for pid, (_, parent) in parents.items() if parent in java}
    return {pid for pid, (_, parent) in parents.items() if parent in daemons}


def answers(frame: DataFrame) -> list[tuple[int, float]]:
    return sorted((row.id, row.prediction) for row in frame.select("id", "prediction").collect())


def test_one_load_serves_all_workers_and_those_after_them(spark: SparkSession, counting: CountingModel) -> None:
    rows = spark.range(400, numPartitions=8).selectExpr("id", "CAST(id AS DOUBLE) AS x")
    scored = score(rows, counting.folder, hosting="executor", batch_size=20)
    expected = [(number, 2.0 * number) for number in range(400)]
    assert answers(scored) == expected
    (host,) = counting.loads()
    try:
        workers = python_workers()
        assert host not in workers
        assert workers
        for pid in workers:  # as Spark does with those that idle for a minute
            os.kill(pid, signal.SIGKILL)
        while any(
            Path(f"/proc/{pid}").exists() for pid in workers
        ):  # Spark would give a task to one that has just ended
            time.sleep(0.05)
        assert answers(scored) == expected
        assert counting.loads() == [host]
        assert {pid for pid, _ in counting.predicts()} == {host}
        assert counting.rows() == 800
        os.kill(host, signal.SIGKILL)
        assert answers(scored) == expected
        assert len(counting.loads()) == 2
    finally:
        os.kill(counting.loads()[-1], signal.SIGKILL)
