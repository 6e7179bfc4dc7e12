"""A stream adds the predictions of each micro-batch exactly once, on the path of table jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from spark_infer import Report, ScoringJob, score_stream
from spark_infer.config import JobConfig
from spark_infer.errors import PlanError, SourceReadError, TargetError, WriteError


def add(here: Path, *ids: int) -> None:
    """Append rows to the source, as one file: ``id`` and ``x`` = id."""
    rows = pa.table({"id": list(ids), "x": [float(each) for each in ids]})
    write_deltalake(str(here / "in"), rows, mode="append")


def predictions(here: Path) -> dict[int, float]:
    rows = DeltaTable(here / "out").to_pyarrow_table().to_pylist()
    found = {row["id"]: row["prediction"] for row in rows}
    assert len(found) == len(rows)
    return found


def run(spark: SparkSession, line: str, here: Path, **options: Any) -> Report:
    report: Report = score_stream(
        str(here / "in"), str(here / "out"), line, checkpoint=here / "checkpoint", spark=spark, **options
    )
    return report


def forget(here: Path, batch: int) -> None:
    """Have Spark run a micro-batch again: what a kill between its commit and the checkpoint leaves."""
    for name in (f"{batch}", f".{batch}.crc"):
        (here / "checkpoint" / "commits" / name).unlink(missing_ok=True)


def test_a_stream_scores_what_is_there_and_what_comes_and_a_batch_that_is_run_again_adds_nothing(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    add(tmp_path, 1, 2)
    add(tmp_path, 3)
    report = run(spark, line, tmp_path, stream_options={"maxFilesPerTrigger": 1})
    assert (report.rows_scored, report.micro_batches, report.target_versions) == (3, 2, (1, 2))
    assert run(spark, line, tmp_path).nothing_new
    forget(tmp_path, 1)
    add(tmp_path, 4)
    report = run(spark, line, tmp_path)
    assert (report.rows_scored, report.micro_batches, report.target_version) == (1, 1, 3)
    assert predictions(tmp_path) == {each: 2.0 * each for each in (1, 2, 3, 4)}
    forget(tmp_path, 2)
    forget(tmp_path, 1)  # put back to an older state
    with pytest.raises(WriteError, match="has micro-batch 2 of this stream, and the checkpoint is at 1"):
        run(spark, line, tmp_path)
    (tmp_path / "out").rename(tmp_path / "gone")
    with pytest.raises(TargetError, match="is gone, and the checkpoint of the stream says that it held rows"):
        run(spark, line, tmp_path)


def test_a_job_file_runs_a_stream_which_refuses_changed_rows_unless_it_is_to_pass_over_them(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    add(tmp_path, 1, 2, 5)
    document = {
        "model": {"uri": line},
        "source": {"path": str(tmp_path / "in"), "where": "id < 5"},
        "target": {"path": str(tmp_path / "out"), "mode": "append"},
        "trigger": "available_now",
        "checkpoint": str(tmp_path / "checkpoint"),
    }
    job = ScoringJob(JobConfig.model_validate(document))
    plan = str(job.plan(spark))
    assert "micro-batches of a stream (available_now: all that is new, then it ends)" in plan
    assert not (tmp_path / "out").exists()
    assert job.run(spark).rows_scored == 2
    DeltaTable(tmp_path / "in").delete("id = 1")
    add(tmp_path, 3)
    with pytest.raises(SourceReadError, match="Detected deleted data from streaming source") as refused:
        job.run(spark)
    assert "skipChangeCommits" in refused.value.next_step
    assert "id = 1" not in str(refused.value)
    options = {"stream_options": {"skipChangeCommits": True}}
    ScoringJob(JobConfig.model_validate(document | options)).run(spark)
    assert predictions(tmp_path) == {1: 2.0, 2: 4.0, 3: 6.0}
    with pytest.raises(PlanError, match="is of another stream"):
        ScoringJob(JobConfig.model_validate(document | {"name": "nightly"})).plan(spark)
