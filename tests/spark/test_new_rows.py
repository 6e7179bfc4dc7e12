"""An incremental merge takes the changes of its source, row by row where the source keeps a change data feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
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


def quick(here: Path, **properties: str) -> DeltaTable:
    """The table of `make`, without Spark."""
    rows = pa.table({"id": range(10), "x": [float(each) for each in range(10)]})
    write_deltalake(here / "in", rows, configuration=properties)
    return DeltaTable(here / "in")


def test_without_a_feed_the_files_that_changed_are_scored_again_and_removed_rows_stay(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    source = quick(tmp_path)
    scoring = merge_new(line, tmp_path)
    scoring.run(spark)
    source.update(predicate="id IN (1, 3)", updates={"x": "x + 100"})
    source.delete("id = 2")
    source.update(predicate="id = 5", updates={"id": "55", "x": "55"})
    write_deltalake(source, pa.table({"id": [10], "x": [10.0]}), mode="append")
    source.optimize.compact()
    with pytest.raises(SourceError, match="`deletes: remove` needs a table with"):
        merge_new(line, tmp_path, deletes="remove").run(spark)
    report = scoring.run(spark)
    assert (report.rows_added, report.rows_removed) == (2, None)
    assert predictions(tmp_path) == pytest.approx(AFTER | {2: 4.0, 3: 206.0, 4: 8.0, 5: 10.0})
    assert scoring.run(spark).nothing_new


def test_a_changed_row_that_is_no_longer_selected_is_removed(spark: SparkSession, line: str, tmp_path: Path) -> None:
    source = quick(tmp_path, **{"delta.enableChangeDataFeed": "true"})
    scoring = merge_new(line, tmp_path, where="x < 8", deletes="remove")
    scoring.run(spark)
    source.update(predicate="id = 1", updates={"x": "9"})
    report = scoring.run(spark)
    assert (report.rows_scored, report.rows_removed) == (0, 1)
    assert sorted(predictions(tmp_path)) == [0, *range(2, 8)]


def test_parquet_files_that_were_written_again_are_merged(spark: SparkSession, line: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()

    def put(name: str, *ids: int, shift: float = 0.0) -> None:
        rows = pa.table({"id": pa.array(ids, pa.int64()), "x": [each + shift for each in ids]})
        pq.write_table(rows, tmp_path / "in" / name)

    put("a.parquet", 0, 1)
    put("b.parquet", 2, 3)
    merge_new(line, tmp_path).run(spark)
    put("a.parquet", 1, 4, shift=100.0)
    (tmp_path / "in" / "b.parquet").unlink()
    report = merge_new(line, tmp_path).run(spark)
    assert (report.rows_scored, report.rows_added, report.rows_replaced) == (2, 1, 1)
    assert predictions(tmp_path) == pytest.approx({0: 0.0, 1: 202.0, 2: 4.0, 3: 6.0, 4: 208.0})
