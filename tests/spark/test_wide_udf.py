"""Wide tables: the columns that pass by the model stay in the JVM, and nothing else is different."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_infer import score, score_table
from spark_infer.errors import PredictError
from spark_infer.spark import wide_udf
from spark_infer.spark.exceptions import translate
from tests.spark.made import BIG, CountingModel

WIDE = 30


def wide(spark: SparkSession, rows: int = 1000) -> DataFrame:
    """``x`` for the model, and besides an id, odd names, odd types and thirty numbers that it does not read."""
    odd = {
        "id": f"id + {BIG}",
        "x": "id / 4D",
        "a.b": "IF(id % 3 = 0, NULL, 'é' || id)",
        "back`tick": "CAST(id / 7 AS DECIMAL(38, 10))",
        "c0": "array(id, NULL)",
        "_spark_infer_made": "named_struct('x', id, 'y', map('k', id))",
        "at": "TIMESTAMP_MICROS(id * 1000001)",
        "ntz": "CAST('2026-01-01 00:00:00.000001' AS TIMESTAMP_NTZ)",
    }
    numbers = [F.expr(f"id * {n}").alias(f"n{n}") for n in range(WIDE)]
    named = [F.expr(text).alias(name) for name, text in odd.items()]
    return spark.range(0, rows, 1, 3).select(*named, *numbers)


def operators(frame: DataFrame) -> str:
    text: str = frame._jdf.queryExecution().executedPlan().toString()
    return text


def test_wide_rows_keep_every_value_and_get_the_same_prediction(
    spark: SparkSession, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = wide(spark)
    beside_them = score(table, line, keep="all")
    assert "ArrowEvalPython" in operators(beside_them)
    assert "MapInArrow" not in operators(beside_them)
    monkeypatch.setattr(wide_udf, "ENOUGH", 10**6)
    through = score(table, line, keep="all")
    assert "MapInArrow" in operators(through)
    assert beside_them.schema == through.schema
    order = F.col("id")
    rows = beside_them.orderBy(order).collect()
    assert rows == through.orderBy(order).collect()
    assert [row[:-1] for row in rows] == [tuple(row) for row in table.orderBy(order).collect()]
    assert [row.prediction for row in rows] == pytest.approx([2 * row.x for row in rows])


def test_a_filter_on_the_prediction_still_predicts_each_row_once(spark: SparkSession, counting: CountingModel) -> None:
    scored = score(wide(spark), counting.folder)
    few = scored.where("prediction > 400 AND n3 % 2 = 0").select(
        "id", "prediction", (F.col("prediction") * 2).alias("b")
    )
    assert 0 < len(few.collect()) < 1000
    assert counting.rows() == 1000
    counting.forget()
    assert scored.select("id", "n1").count() == 1000
    assert counting.rows() <= 1000


def test_scored_rows_are_told_apart_from_those_they_were_made_of(spark: SparkSession, line: str) -> None:
    table = wide(spark, 20)
    scored = score(table, line)
    assert scored.join(table, scored["n1"] < table["n1"]).count() == 190
    assert scored.join(table, "id").count() == 20


def test_a_table_job_on_the_spark_plane_counts_what_it_cost(spark: SparkSession, line: str, tmp_path: Path) -> None:
    wide(spark).drop("_spark_infer_made").write.parquet(str(tmp_path / "in"))
    for plane in ("spark", "direct"):
        target = {"path": str(tmp_path / plane), "format": "parquet"}
        report = score_table(spark, source=str(tmp_path / "in"), target=target, model=line, plane=plane)
        assert (report.rows_read, report.rows_scored, report.rows_predicted) == (1000, 1000, 1000)
        assert report.loads + report.cache_hits >= 1
        assert report.task_seconds["predict"] > 0
    by_spark, direct = (spark.read.parquet(str(tmp_path / plane)).drop("scored_at") for plane in ("spark", "direct"))
    assert by_spark.schema == direct.schema
    assert by_spark.orderBy("id").collect() == direct.orderBy("id").collect()


def test_an_error_of_the_model_is_told_as_ever(spark: SparkSession, line: str) -> None:
    scored = score(wide(spark).withColumn("x", F.expr("IF(n1 = 500, NULL, x)")), line)
    with pytest.raises(PySparkException) as failed:
        scored.collect()
    assert isinstance(translate(failed.value), PredictError)


def test_a_wide_table_without_rows_has_the_schema(spark: SparkSession, line: str) -> None:
    scored = score(wide(spark, 0), line)
    assert scored.columns == [*wide(spark, 0).columns, "prediction"]
    assert scored.collect() == []
