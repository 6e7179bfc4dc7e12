"""All Python workers of an executor feed one model, which outlives them."""

from __future__ import annotations

import os
import signal

from pyspark.sql import DataFrame, SparkSession

from spark_infer import score
from tests.spark.made import CountingModel
from tests.spark.python_workers import end_python_workers, python_workers


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
        end_python_workers()
        assert answers(scored) == expected
        assert counting.loads() == [host]
        assert {pid for pid, _ in counting.predicts()} == {host}
        assert counting.rows() == 800
        os.kill(host, signal.SIGKILL)
        assert answers(scored) == expected
        assert len(counting.loads()) == 2
    finally:
        os.kill(counting.loads()[-1], signal.SIGKILL)
