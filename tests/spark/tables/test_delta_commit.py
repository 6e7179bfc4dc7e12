"""What a Delta commit says of the run, also among the commits of other writers."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import TargetConfig
from spark_infer.errors import EnvironmentProblem
from spark_infer.spark.tables.delta import writing
from spark_infer.spark.tables.delta.checking import check_delta
from spark_infer.tables.location import TableLocation
from tests.spark.tables.conftest import Put

FACTS: dict[str, str | int | float] = {"run_id": "r1", "model": "models:/m/3", "rows": 12, "seconds": 0.5}


def test_the_commit_carries_the_facts_as_compact_json(tmp_path: Path, flights: DataFrame, put: Put) -> None:
    written = put(flights, TargetConfig(path=str(tmp_path / "t"), format="delta"), FACTS)
    (entry,) = DeltaTable(tmp_path / "t").history()
    assert entry["userMetadata"] == '{"run_id":"r1","model":"models:/m/3","rows":12,"seconds":0.5}'
    assert json.loads(entry["userMetadata"]) == FACTS
    assert (written.version, written.rows) == (entry["version"], 12)


def test_the_version_is_ours_when_others_commit_at_the_same_time(
    tmp_path: Path, flights: DataFrame, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t"
    put(flights, TargetConfig(path=str(path), format="delta"))
    other = pa.table({"id": [99], "delay": [1.0], "month": pa.array([10], pa.int32())})
    save = writing._save

    def crowded(writer: object, location: TableLocation) -> None:
        write_deltalake(path, other, mode="append")
        save(writer, location)  # type: ignore[arg-type]
        write_deltalake(path, other, mode="append")

    monkeypatch.setattr(writing, "_save", crowded)
    monkeypatch.setattr(writing, "_RECENT", 1)
    written = put(flights, TargetConfig(path=str(path), mode="append"))
    assert (written.version, written.rows) == (2, 12)
    assert DeltaTable(path).version() == 3


def test_appending_no_row_makes_no_commit_and_says_so(tmp_path: Path, flights: DataFrame, put: Put) -> None:
    config = TargetConfig(path=str(tmp_path / "t"), format="delta", mode="append")
    put(flights, config)
    written = put(flights.where("id < 0"), config)
    assert (written.version, written.rows) == (None, 0)
    assert written.notes == ("No row was written, and Delta made no commit for that.",)


def test_a_session_whose_overwrites_are_dynamic_still_replaces_everything(
    spark: SparkSession, tmp_path: Path, flights: DataFrame, put: Put
) -> None:
    config = TargetConfig(path=str(tmp_path / "t"), format="delta", mode="overwrite", partition_by=("month",))
    put(flights, config)
    spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
    try:
        put(flights.where("month = 10"), config)
    finally:
        spark.conf.unset("spark.sql.sources.partitionOverwriteMode")
    assert set(DeltaTable(tmp_path / "t").to_pyarrow_table()["month"].to_pylist()) == {10}


def test_a_not_null_column_of_the_table_fails_the_job_and_not_the_plan(
    spark: SparkSession, tmp_path: Path, put: Put
) -> None:
    path = tmp_path / "t"
    spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT NOT NULL) USING delta")
    config = TargetConfig(path=str(path), mode="append")
    assert put(spark.range(3).selectExpr("nullif(id, 9) AS id"), config).rows == 3
    with pytest.raises(Exception, match="NOT NULL constraint violated"):
        put(spark.range(3).selectExpr("nullif(id, 1) AS id"), config)
    assert DeltaTable(path).to_pyarrow_table().num_rows == 3


def test_a_session_that_speaks_delta_is_let_through(spark: SparkSession) -> None:
    check_delta(spark)


class SessionWithoutDelta:
    """A session as Spark answers without Delta's extension: its parser does not know the statement."""

    def __init__(self) -> None:
        self.conf = {"spark.sql.extensions": "other.Extension"}

    def sql(self, query: str) -> None:
        raise ValueError(f"cannot parse {query}")


def test_a_session_without_delta_is_told_every_setting_it_lacks() -> None:
    with pytest.raises(EnvironmentProblem) as refused:
        check_delta(SessionWithoutDelta())  # type: ignore[arg-type]
    assert "spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension" in refused.value.details
    assert "spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog" in refused.value.details
    assert "spark.jars.packages=io.delta:delta-spark_" in str(refused.value)
