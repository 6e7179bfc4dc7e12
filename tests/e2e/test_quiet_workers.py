"""A session of a user's own: workers print nothing on its screen, whatever a model and its libraries print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loud import save_loud

PROGRAM = """
import sys
from pyspark.sql import SparkSession
import spark_infer

conf = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
spark = SparkSession.Builder().master("local[1]").config(map=conf).getOrCreate()
spark.range(1).count()
print("LOUD start", file=sys.stderr, flush=True)
rows = spark.range(4, numPartitions=2).selectExpr("id", "CAST(id AS double) AS x", "id AS y")
spark.udf.register("loudly", spark_infer.model_udf(spark, sys.argv[1]))
rows.createOrReplaceTempView("rows")
print(spark.sql("SELECT sum(p) AS p FROM (SELECT loudly(x, y) AS p FROM rows)").head().p)
print(spark_infer.score(rows, sys.argv[1], keep="id").agg({"prediction": "sum"}).collect()[0][0])
spark.stop()
"""


@pytest.mark.soak
def test_nothing_that_a_model_prints_reaches_the_screen(tmp_path: Path) -> None:
    model = save_loud(tmp_path)
    environ = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model], env=environ, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["12.0", "12.0"]
    assert done.stderr.partition("LOUD start\n")[2] == ""
