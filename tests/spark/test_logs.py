"""Where the log of a session is a file, what a model prints is there, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_infer import model_udf, score
from tests.loud import save_loud


def test_what_a_model_prints_is_in_the_log_of_the_workers_and_not_on_the_drivers_screen(
    spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Path(spark.conf.get("spark.local.dir") or "").parent / "spark.log"
    before = len(log.read_text())
    model = save_loud(tmp_path)
    capfd.readouterr()
    rows = spark.range(4, numPartitions=1).selectExpr("CAST(id AS double) AS x", "id AS y")
    spark.udf.register("loud", model_udf(spark, model))
    rows.createOrReplaceTempView("loud_rows")
    assert spark.sql("SELECT sum(p) FROM (SELECT loud(x, y) AS p FROM loud_rows)").head() == (12.0,)
    assert score(rows, model, keep="x").agg({"prediction": "sum"}).head() == (12.0,)
    assert capfd.readouterr() == ("", "")
    written = log.read_text()[before:]
    # An earlier model of this worker may have given Python's root logger a handler, which then writes the line.
    assert "LOUD log\n" in written
    for said in ("print", "print to stderr"):
        assert f"INFO spark_infer.runtime.output_capture: LOUD {said}\n" in written
    assert "INFO spark_infer.runtime.output_capture: LOUD bar: 100%" in written
    assert "UserWarning: LOUD warning while loading\n" in written
    assert "WARNING spark_infer.spark.worker: " in written
    assert "bound by position, as x, y" in written
