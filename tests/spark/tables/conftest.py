"""A small table to write, one whose job fails, and a source to have come from."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Protocol

import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.tables.spark_tables import SparkTables
from spark_infer.spark.tables.write import is_staged, refresh, size_notes, stage, write
from spark_infer.tables.check_target import plan_write
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import open_snapshot
from tests.runs import publish


class Put(Protocol):
    def __call__(
        self, frame: DataFrame, target: TargetConfig, facts: Mapping[str, str | int | float] | None = None
    ) -> Written: ...


@pytest.fixture(scope="package")
def flights(spark: SparkSession) -> DataFrame:
    """Twelve rows: ids 0 to 11, four in each of the months 10, 11, 12."""
    return spark.range(0, 12, 1, 3).selectExpr("id", "id * 0.5D AS delay", "CAST(10 + id % 3 AS INT) AS month")


@pytest.fixture(scope="package")
def failing(spark: SparkSession) -> DataFrame:
    """The same rows, but the last row of the last task fails when the other tasks are done."""
    rows = spark.range(0, 12, 1, 6).selectExpr("id", "id * 0.5D AS delay", "CAST(10 + id % 3 AS INT) AS month")
    failing_id = "IF(id = 11, CAST(raise_error('the model fails here') AS BIGINT), id) AS id"
    return rows.selectExpr(failing_id, "delay", "month")


@pytest.fixture(scope="package")
def snapshot(spark: SparkSession, flights: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The source that the rows are said to come from."""
    folder = tmp_path_factory.mktemp("tables") / "source"
    flights.write.parquet(str(folder))
    return open_snapshot(SparkTables(spark), SourceConfig(path=str(folder)))


def put_rows(frame: DataFrame, plan: WritePlan, facts: Mapping[str, str | int | float]) -> Written:
    """Write as a job does: staged first where that is possible."""
    if not is_staged(plan):
        return write(frame, plan, facts=facts)
    done = publish(plan, lambda folder, session: stage(frame, plan, folder, last=True), name=uuid.uuid4().hex)
    refresh(frame.sparkSession, plan)
    files = [file for entry in done.entries for file in entry.files]
    notes = (*done.ended.notes, *size_notes(frame.sparkSession, plan))
    return Written(
        plan.location, None, sum(each.rows for each in files), len(files), sum(each.size for each in files), notes
    )


@pytest.fixture
def put(spark: SparkSession, snapshot: Snapshot) -> Put:
    """Plan and write in one call."""

    def planned_and_written(
        frame: DataFrame, target: TargetConfig, facts: Mapping[str, str | int | float] | None = None
    ) -> Written:
        plan = plan_write(SparkTables(spark), target, snapshot=snapshot, schema=to_arrow(frame.schema))
        return put_rows(frame, plan, facts or {"run_id": uuid.uuid4().hex})

    return planned_and_written


@pytest.fixture
def table(spark: SparkSession) -> Iterator[str]:
    """A fresh name in the catalog, dropped afterwards."""
    name = f"t{uuid.uuid4().hex[:12]}"
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")
