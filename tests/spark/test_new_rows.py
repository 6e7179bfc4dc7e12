"""An incremental merge takes the changes of its source, row by row where the source keeps a change data feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from spark_infer import ScoringJob
from spark_infer.config import JobConfig
from spark_infer.errors import SourceError
from tests.spark.test_merge import PLAIN

FEED = "TBLPROPERTIES (delta.enableChangeDataFeed = true)"


def merge_new(line: str, here: Path, *, where: str | None = None, **options: Any) -> ScoringJob:
    target = {"path": str(here / "out"), "format": "delta", "mode": "merge", "keys": ["id"], **PLAIN}
    source = {"path": str(here / "in"), "where": where}
    document = {"model": {"uri": line}, "source": source, "target": target, "incremental": options or True}
    return ScoringJob(JobConfig.model_validate(document))


def make(spark: SparkSession, here: Path, properties: str = "") -> str:
    """Ten rows: ``id`` and ``x`` = id; returns the table's name in SQL."""
    name = f"delta.`{here / 'in'}`"
    spark.sql(f"CREATE TABLE {name} USING delta {properties} AS SELECT id, CAST(id AS DOUBLE) AS x FROM range(10)")
    return name


def predictions(here: Path) -> dict[int, float]:
    rows = DeltaTable(here / "out").to_pyarrow_table().to_pylist()
    found = {row["id"]: row["prediction"] for row in rows}
    assert len(found) == len(rows)
    return found


def change(spark: SparkSession, name: str) -> None:
    """Rows 1 and 3 get another value, 2 goes, 4 goes and comes back as 50, 5 becomes 55, and 10 comes."""
    for statement in (
        f"UPDATE {name} SET x = x + 100 WHERE id IN (1, 3)",
        f"UPDATE {name} SET x = x + 100 WHERE id = 3",
        f"DELETE FROM {name} WHERE id IN (2, 4)",
        f"INSERT INTO {name} VALUES (10, 10D), (4, 50D)",
        f"UPDATE {name} SET id = 55, x = 55 WHERE id = 5",
        f"OPTIMIZE {name}",
    ):
        spark.sql(statement)


AFTER = {0: 0.0, 1: 202.0, 3: 406.0, 4: 100.0, 55: 110.0, 6: 12.0, 7: 14.0, 8: 16.0, 9: 18.0, 10: 20.0}


def test_a_change_data_feed_brings_changes_and_removals_row_by_row(
    spark: SparkSession, line: str, tmp_path: Path, breaks: Any
) -> None:
    name = make(spark, tmp_path, FEED)
    scoring = merge_new(line, tmp_path, deletes="remove")
    scoring.run(spark)
    change(spark, name)
    breaks("committed:1:raise")
    report = scoring.run(spark)  # the commit is there, and its reply is lost
    breaks("")
    assert (report.rows_scored, report.rows_added, report.rows_replaced, report.rows_removed) == (5, 2, 3, 2)
    assert predictions(tmp_path) == pytest.approx(AFTER)
    assert scoring.run(spark).nothing_new
    spark.sql(f"DELETE FROM {name} WHERE id = 9")
    report = scoring.run(spark)
    assert (report.rows_scored, report.rows_removed) == (0, 1)
    assert 9 not in predictions(tmp_path)


def test_without_a_feed_the_files_that_changed_are_scored_again_and_removed_rows_stay(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    name = make(spark, tmp_path)
    scoring = merge_new(line, tmp_path)
    scoring.run(spark)
    change(spark, name)
    with pytest.raises(SourceError, match="`deletes: remove` needs a table with"):
        merge_new(line, tmp_path, deletes="remove").run(spark)
    report = scoring.run(spark)
    assert (report.rows_added, report.rows_removed) == (2, None)
    assert predictions(tmp_path) == pytest.approx(AFTER | {2: 4.0, 5: 10.0})
    assert scoring.run(spark).nothing_new


def test_a_changed_row_that_is_no_longer_selected_is_removed(spark: SparkSession, line: str, tmp_path: Path) -> None:
    name = make(spark, tmp_path, FEED)
    scoring = merge_new(line, tmp_path, where="x < 8", deletes="remove")
    scoring.run(spark)
    spark.sql(f"UPDATE {name} SET x = 9 WHERE id = 1")
    report = scoring.run(spark)
    assert (report.rows_scored, report.rows_removed) == (0, 1)
    assert sorted(predictions(tmp_path)) == [0, *range(2, 8)]
