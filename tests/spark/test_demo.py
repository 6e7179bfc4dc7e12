"""The demo's table is written whole or not trusted, and its accuracy counts what can be known."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_infer.demo import flights
from spark_infer.demo.scored import SHOWN, Accuracy, measure, some_rows


@pytest.fixture(scope="module")
def some_flights() -> pa.Table:
    table = flights.read_flights(flights.find_archive())
    return table.take(list(range(0, flights.FLIGHTS, 500)))


def test_what_a_killed_run_left_is_replaced_by_the_whole_table(
    spark: SparkSession, some_flights: pa.Table, tmp_path: Path
) -> None:
    whole, path = tmp_path / "whole", tmp_path / "flights"
    flights.write_flights(spark, some_flights, whole, mark="mark")
    # Killed before the commit: data files, and an empty log.
    shutil.copytree(whole, path, ignore=shutil.ignore_patterns("*.json", "*.crc", "_staged_commits"))
    assert (path / "_delta_log").is_dir()
    assert len(list(path.rglob("*.parquet"))) == 12
    assert not flights.holds_flights(path, mark="mark")

    flights.write_flights(spark, some_flights, path, mark="mark")
    assert flights.holds_flights(path, mark="mark")
    assert len(list(path.rglob("*.parquet"))) == 12
    read = spark.read.format("delta").load(str(path))
    assert read.count() == some_flights.num_rows
    assert dict(read.dtypes)["dep_delay"] == "double"
    assert dict(read.dtypes)["hour"] == "bigint"
    assert read.where("dep_delay is null").count() == some_flights["dep_delay"].null_count > 0
    assert len(list(path.glob("month=*"))) == 12


def test_accuracy_counts_flights_whose_arrival_is_known(spark: SparkSession) -> None:
    # late and said so, late and missed, on time twice (15 minutes is on time), and one that never arrived
    rows = [(16.0, 1), (99.0, 0), (15.0, 0), (-3.0, 0), (None, 1)]
    scored = spark.createDataFrame(rows, "arr_delay double, delayed long")
    accuracy = measure(scored)
    assert accuracy == Accuracy(rows=4, share_right=0.75, share_late=0.5)
    assert Accuracy(10, 0.9, 0.2).share_right_by_guessing == 0.8


def test_the_rows_to_show_are_the_same_every_time(spark: SparkSession, some_flights: pa.Table) -> None:
    scored = spark.createDataFrame(some_flights.slice(0, 50)).selectExpr("*", "0L as delayed")
    shown = some_rows(scored, 3)
    assert len(shown) == 3
    assert len(shown[0]) == len(SHOWN)
    assert some_rows(scored.orderBy("flight_id", ascending=False), 3) == shown
