"""Runs whose rows Spark writes, unit by unit: what is scored stays scored, and each row is written once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from spark_infer.engines.spark import whole_write
from spark_infer.errors import StoppedError
from spark_infer.runtime.failpoints import InjectedError
from spark_infer.spark.tables.write import stage
from tests.spark.test_units import expected, job, rows_of

DAYS, ROWS = 5, 60
BY_PARTITIONS = {"plane": "spark", "units": {"bytes": 1}}
BY_TASKS = {"plane": "direct", "units": {"bytes": 1}}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Sixty rows of five days, one of them null, with a day that SQL has to quote."""
    days = ["1", "2", "o'1", None, "$x"]
    rows = pa.table(
        {"id": range(ROWS), "x": [each / 4 for each in range(ROWS)], "day": [days[i % DAYS] for i in range(ROWS)]}
    )
    write_deltalake(tmp_path / "in", rows, partition_by=["day"])
    return tmp_path / "in"


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("way", "kind", "mode", "fault"),
    [
        (BY_PARTITIONS, "delta", "append", "max_runtime"),
        (BY_PARTITIONS, "parquet", "overwrite", "seal:3"),
        (BY_TASKS, "delta", "overwrite", "committed:1"),
        (BY_TASKS, "delta", "create", "sealed:4"),
    ],
)
def test_what_spark_has_scored_is_not_scored_again(
    spark: SparkSession,
    line: str,
    source: Path,
    tmp_path: Path,
    breaks: Any,
    monkeypatch: pytest.MonkeyPatch,
    way: dict[str, Any],
    kind: str,
    mode: str,
    fault: str,
) -> None:
    target: dict[str, Any] = {"path": str(tmp_path / "out"), "format": kind}
    if mode != "create":
        job(line, source, target, name="first", plane="direct").run(spark)
        target["mode"] = mode
    if way is BY_TASKS:  # which has Spark write
        target["target_file_bytes"] = 2**20
    if fault == "max_runtime":
        with pytest.raises(StoppedError, match=f"1 of {DAYS} units"):
            job(line, source, target, **way, max_runtime=1e-9).run(spark)
    else:
        breaks(f"{fault}:raise")
        with pytest.raises(InjectedError):
            job(line, source, target, **way).run(spark)
        breaks("")
    staged: list[bool] = []

    def counted(*given: Any, last: bool) -> Any:
        staged.append(last)
        return stage(*given, last=last)

    monkeypatch.setattr(whole_write, "stage", counted)
    done = {"max_runtime": 1, "seal:3": 2, "committed:1": DAYS, "sealed:4": 4}[fault]
    report = job(line, source, target, **way).run(spark)
    assert (report.rows_scored, report.units, report.units_before, len(staged)) == (ROWS, DAYS, done, DAYS - done)
    assert rows_of(target) == expected(2 if mode == "append" else 1)
    assert job(line, source, target, **way).run(spark).already_done
    if kind == "delta":
        table = DeltaTable(target["path"])
        assert (report.files_written, report.target_version) == (
            int(table.history(1)[0]["operationMetrics"]["numFiles"]),
            table.version(),
        )
