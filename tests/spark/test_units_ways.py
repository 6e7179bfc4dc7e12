"""A run that was begun by Spark and one that was begun by workers: whoever takes it up, each row is written once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_infer import ScoringJob
from spark_infer.config import JobConfig
from spark_infer.engines.local import units as local_units
from spark_infer.engines.spark import units as spark_units
from spark_infer.engines.spark import whole_write
from spark_infer.errors import SparkMustReadError, UnfinishedRunError
from spark_infer.runtime.failpoints import InjectedError
from tests.here import tasks_here
from tests.spark.test_units import FILES, ROWS, expected, job, rows_of, source

__all__ = ["source"]  # a fixture

BY_SPARK, BY_WORKERS = {"plane": "spark"}, {"plane": "direct", "units": {"bytes": 1}}


@pytest.mark.parametrize("second", [BY_WORKERS, {"engine": "local"}], ids=["direct", "local"])
@pytest.mark.parametrize("kind", ["parquet", pytest.param("delta", marks=pytest.mark.soak)])
def test_workers_begin_anew_what_spark_had_begun(
    spark: SparkSession,
    line: str,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    second: dict[str, Any],
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind}

    def fail(*_: Any, **__: Any) -> Any:
        raise InjectedError("before a row is written")

    monkeypatch.setattr(whole_write, "stage" if kind == "parquet" else "write", fail)
    with pytest.raises(InjectedError):
        job(line, source, target, **BY_SPARK).run(spark)
    monkeypatch.undo()
    monkeypatch.setattr(local_units, "do_tasks", tasks_here)
    scoring = job(line, source, target, **second)
    session = [] if "engine" in second else [spark]
    assert "is unfinished and is given up" in str(scoring.plan(*session))
    report = scoring.run(*session)
    assert (report.rows_scored, report.units_before) == (ROWS, 0)
    assert rows_of(target) == expected()
    assert scoring.run(*session).already_done


@pytest.mark.parametrize("kind", ["parquet", pytest.param("delta", marks=pytest.mark.soak)])
def test_spark_begins_anew_what_workers_had_begun(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any, kind: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind}
    breaks("seal:1:raise")
    with pytest.raises(InjectedError):
        job(line, source, target, **BY_WORKERS).run(spark)
    breaks("")
    report = job(line, source, target, **BY_SPARK).run(spark)
    assert (report.rows_scored, report.units_before) == (ROWS, 0)
    assert rows_of(target) == expected()
    assert job(line, source, target, **BY_WORKERS).run(spark).already_done


@pytest.mark.parametrize(
    ("kind", "mode"),
    [pytest.param("parquet", "append", marks=pytest.mark.soak), ("delta", "append"), ("parquet", "overwrite")],
)
def test_spark_refuses_what_workers_have_done_in_part(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any, kind: str, mode: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind, "mode": mode}
    job(line, source, {**target, "mode": "error_if_exists"}, name="first").run(spark)
    breaks("sealed:3:raise")
    with pytest.raises(InjectedError):
        job(line, source, target, **BY_WORKERS).run(spark)
    breaks("")
    with pytest.raises(UnfinishedRunError, match="cannot go on in this way") as caught:
        job(line, source, target, **BY_SPARK).plan(spark)
    assert f"3 of {FILES} units are done" in str(caught.value)
    assert "set plane: auto or direct" in str(caught.value)
    report = job(line, source, target, **BY_WORKERS).run(spark)
    assert (report.rows_scored, report.units_before) == (ROWS, 3)
    assert rows_of(target) == expected(2 if mode == "append" else 1)


@pytest.mark.parametrize("kind", [pytest.param("parquet", marks=pytest.mark.soak), "delta"])
def test_spark_publishes_what_workers_have_scored(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any, kind: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind}
    breaks(f"sealed:{FILES}:raise")
    with pytest.raises(InjectedError):
        job(line, source, target, **BY_WORKERS).run(spark)
    breaks("")
    report = job(line, source, target, **BY_SPARK).run(spark)
    assert (report.rows_scored, report.units_before) == (ROWS, FILES)
    assert rows_of(target) == expected()


def test_workers_publish_what_spark_has_staged(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "parquet"}
    breaks("sealed:1:raise")
    with pytest.raises(InjectedError):
        job(line, source, target, **BY_SPARK).run(spark)
    breaks("")
    report = job(line, source, target, **BY_WORKERS).run(spark)
    assert (report.rows_scored, report.units_before) == (ROWS, 1)
    assert rows_of(target) == expected()


def test_workers_leave_alone_what_spark_may_still_append(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "delta", "mode": "append"}
    job(line, source, {**target, "mode": "error_if_exists"}, name="first").run(spark)

    def fail(*_: Any, **__: Any) -> Any:
        raise InjectedError("before the commit")

    monkeypatch.setattr(whole_write, "write", fail)
    with pytest.raises(InjectedError):
        job(line, source, target, **BY_SPARK).run(spark)
    monkeypatch.undo()
    with pytest.raises(UnfinishedRunError, match="may still be about to"):
        job(line, source, target, **BY_WORKERS).plan(spark)
    assert job(line, source, target, **BY_WORKERS).run(spark, new_run=True).rows_scored == ROWS
    assert rows_of(target) == expected(2)


def test_spark_scores_anew_what_left_no_row(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "parquet", "mode": "overwrite"}
    job(line, source, {**target, "mode": "error_if_exists"}, name="first").run(spark)
    where = {"path": str(source), "where": "x < 0.2 AND x > 0.1"}

    def of_nothing(way: dict[str, Any]) -> ScoringJob:
        return ScoringJob(JobConfig.model_validate({"model": {"uri": line}, "source": where, "target": target, **way}))

    breaks("finish:1:raise")
    with pytest.raises(InjectedError):
        of_nothing(BY_WORKERS).run(spark)
    breaks("")
    report = of_nothing(BY_SPARK).run(spark)
    assert (report.rows_scored, [each for each in report.warnings if "figures" in each]) == (0, [])
    assert rows_of(target) == []
    assert of_nothing(BY_WORKERS).run(spark).already_done


def test_workers_refuse_what_spark_has_committed(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "delta", "mode": "append"}
    job(line, source, {**target, "mode": "error_if_exists"}, name="first").run(spark)
    breaks("published:1:raise")
    with pytest.raises(InjectedError):
        job(line, source, target, **BY_SPARK).run(spark)
    breaks("")
    with pytest.raises(UnfinishedRunError, match="set engine: spark and plane: spark"):
        job(line, source, target, **BY_WORKERS).run(spark)
    report = job(line, source, target, **BY_SPARK).run(spark)
    assert (report.rows_scored, report.rows_before, report.rows_per_second) == (ROWS, ROWS, 0)
    assert rows_of(target) == expected(2)


@pytest.mark.parametrize("kind", ["parquet", pytest.param("delta", marks=pytest.mark.soak)])
def test_spark_reads_all_units_when_a_worker_finds_that_it_must(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind}

    def doubt(*_: Any) -> Any:
        raise SparkMustReadError("a file of another kind")

    monkeypatch.setattr(spark_units, "write_files", doubt)
    scoring = job(line, source, target, units={"bytes": 1})
    report = scoring.run(spark)
    assert (report.rows_scored, report.units) == (ROWS, 1)
    assert rows_of(target) == expected()
    assert scoring.run(spark).already_done
