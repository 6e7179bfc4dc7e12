"""Random models and tables through the doors of Spark: the answers are those of pyfunc, by position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_infer import model_udf, score, score_table
from spark_infer.spark.versions import arrow_table
from tests.differential.jobs import ONE_JOB, TEN_JOBS, check, many, tables

__all__ = ["many"]
pytestmark = pytest.mark.filterwarnings("ignore")


def by_udf(spark: SparkSession, source: Path, model: str, options: dict[str, Any]) -> pa.Table:
    predicted = spark.read.parquet(str(source)).withColumn("p", model_udf(spark, model, **options)())
    several = "struct" in predicted.schema["p"].dataType.typeName()
    return arrow_table(predicted.select("*", *(["p.*"] if several else [F.col("p").alias("y")])).drop("p"))


def by_score(spark: SparkSession, source: Path, model: str, options: dict[str, Any]) -> pa.Table:
    return arrow_table(score(spark.read.parquet(str(source)), model, **options))


def by_table(spark: SparkSession, source: Path, model: str, options: dict[str, Any], *, plane: str) -> pa.Table:
    target = source.with_name(f"{source.name}_scored")
    score_table(
        spark,
        source={"path": str(source)},
        target={"path": str(target), "format": "parquet"},
        model=model,
        plane=plane,
        **options,
    )
    return pq.read_table(target)


DOORS: dict[str, Callable[[SparkSession, Path, str, dict[str, Any]], pa.Table]] = {
    "model_udf": by_udf,
    "score": by_score,
    "score_table, direct": partial(by_table, plane="direct"),
    "score_table, spark": partial(by_table, plane="spark"),
}


@pytest.mark.parametrize(
    ("door", "outputs"), list(zip(DOORS, ["bare", "several", "one", "several"], strict=True)), ids=list(DOORS)
)
@given(data=st.data())
@ONE_JOB
def test_random_models_answer_as_their_pyfunc_does(
    spark: SparkSession, many: Mapping[str, str], door: str, outputs: str, tmp_path: Path, data: st.DataObject
) -> None:
    check(data.draw(tables(outputs)), many[outputs], partial(DOORS[door], spark), tmp_path, data)


@pytest.mark.soak
@pytest.mark.parametrize("door", DOORS)
@given(data=st.data())
@TEN_JOBS
def test_hundreds_of_random_models_do(
    spark: SparkSession, many: Mapping[str, str], door: str, tmp_path: Path, data: st.DataObject
) -> None:
    outputs = data.draw(st.sampled_from(list(many)))
    check(data.draw(tables(outputs)), many[outputs], partial(DOORS[door], spark), tmp_path, data)
