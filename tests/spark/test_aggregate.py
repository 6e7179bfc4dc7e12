"""Summaries of the predictions with engine `spark`: computed by its workers, refused where Spark itself writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from spark_infer import score_table
from spark_infer.errors import PlanError
from tests.line import save_line

COLUMNS = {"rows": "count", "mean": "avg(prediction)", "high": "count_if(prediction > 10)"}


def test_workers_of_spark_summarise_what_they_write(spark: SparkSession, tmp_path: Path) -> None:
    model, source = save_line(tmp_path / "model"), tmp_path / "in"
    source.mkdir()
    for start in (0, 10):
        ids = np.arange(start, start + 10)
        pq.write_table(pa.table({"id": ids, "x": ids / 1.0, "odd": ids % 2}), source / f"{start}.parquet")
    wanted = {"path": str(tmp_path / "by"), "by": "odd", "columns": COLUMNS}
    target = {"path": str(tmp_path / "out"), "mode": "append"}
    report = score_table(spark, source=str(source), target=target, model=model, aggregate=wanted, units={"bytes": 1})
    found = pq.read_table(tmp_path / "by", columns=["odd", *COLUMNS]).to_pylist()
    assert [(row["odd"], row["rows"], round(row["mean"], 9), row["high"]) for row in found] == [
        (0, 10, 18.0, 7),
        (1, 10, 20.0, 7),
    ]
    assert (report.units, report.summary_rows, report.plane[:6]) == (2, 2, "direct")
    with pytest.raises(PlanError, match="aggregate needs workers that read the source") as refused:
        score_table(spark, source=str(source), target=target, model=model, aggregate=wanted, plane="spark")
    assert "compute the summary from the target" in str(refused.value)
