"""Runs in units on Spark: they go on where they were stopped, whoever reads and whoever writes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spark_infer import ScoringJob, model_udf, score
from spark_infer.config import JobConfig
from spark_infer.engines.spark import units as spark_units
from spark_infer.engines.spark.direct import write_files
from spark_infer.errors import DeadlineError, LedgerError, RunError
from spark_infer.runtime.failpoints import InjectedError
from tests.hostile import CORPUS, each
from tests.local.jobs import read
from tests.sleepy import planning_that_hangs, save_sleepy
from tests.spark.tables.seen import no_spark_job
from tests.tree import tree

FILES, ROWS = 6, 60


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Sixty rows in six files: ``id`` and ``x`` = id / 4."""
    (tmp_path / "in").mkdir()
    for number, ids in enumerate(np.split(np.arange(ROWS), FILES)):
        pq.write_table(pa.table({"id": ids, "x": ids / 4}), tmp_path / "in" / f"{number}.parquet")
    return tmp_path / "in"


def job(line: str, source: Path, target: dict[str, Any], **more: Any) -> ScoringJob:
    document = {"model": {"uri": line}, "source": {"path": str(source)}, "target": target, **more}
    return ScoringJob(JobConfig.model_validate(document))


def rows_of(target: dict[str, Any]) -> list[tuple[int, float]]:
    return [(row["id"], row["prediction"]) for row in read(Path(target["path"]))]


def expected(copies: int = 1) -> list[tuple[int, Any]]:
    return [(number, pytest.approx(number / 2)) for number in range(ROWS) for _ in range(copies)]


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        pytest.param("delta", "seal:3", marks=pytest.mark.soak),
        ("delta", "placed:1"),
        ("parquet", "sealed:4"),
        pytest.param("parquet", "report:1", marks=pytest.mark.soak),
    ],
)
def test_units_of_workers_go_on(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any, kind: str, fault: str
) -> None:
    target = {"path": str(tmp_path / "out"), "format": kind, "mode": "append"}
    (tmp_path / "none").mkdir()
    pq.write_table(pa.table({"id": np.arange(0), "x": np.arange(0.0)}), tmp_path / "none" / "0.parquet")
    assert job(line, tmp_path / "none", target, name="empty").run(spark).warnings == ("no row of the source is scored",)
    scoring = job(line, source, target, units={"bytes": 1})
    breaks(f"{fault}:raise")
    with pytest.raises(InjectedError):
        scoring.run(spark)
    breaks("")
    report = scoring.run(spark)
    assert (report.units, report.rows_scored, report.units_before > 0) == (FILES, ROWS, True)
    assert rows_of(target) == expected()
    with no_spark_job(spark):
        assert scoring.run(spark).already_done
    assert rows_of(target) == expected()
    if kind == "delta":
        assert DeltaTable(str(tmp_path / "out")).version() == FILES


def test_a_ledger_that_somebody_else_made_or_changed_is_refused_and_no_job_of_spark_runs(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any
) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    home.mkdir()
    shutil.copy(next(source.glob("*.parquet")), home / "private.parquet")
    shared.mkdir()
    scoring = job(
        line, source, {"path": str(shared / "out"), "format": "parquet", "mode": "append"}, units={"bytes": 1}
    )
    breaks("sealed:6:raise")  # only moves are left
    with pytest.raises(InjectedError):
        scoring.run(spark)
    breaks("")
    for name in each(CORPUS, shared, home):
        before = {path: facts for path, facts in tree(tmp_path).items() if ".spark_infer/" not in path}
        with no_spark_job(spark), pytest.raises(LedgerError):
            scoring.run(spark)
        assert {path: facts for path, facts in tree(tmp_path).items() if ".spark_infer/" not in path} == before, name
    assert scoring.run(spark).units_before == FILES


def test_a_unit_that_fails_stops_the_others_and_those_that_are_done_stay(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"path": str(tmp_path / "out"), "format": "delta"}
    scoring = job(line, source, target, units={"bytes": 1})

    def fail(session: SparkSession, scored: Any, plane: Any, tasks: Any, into: Any) -> Any:
        if tasks[0].number == 3:
            raise RunError("the fourth unit fails")
        return write_files(session, scored, plane, tasks, into)

    monkeypatch.setattr(spark_units, "write_files", fail)
    with pytest.raises(RunError, match="the fourth unit"):
        scoring.run(spark)
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    report = scoring.run(spark)
    assert report.rows_scored == ROWS
    assert rows_of(target) == expected()


@pytest.mark.parametrize("plane", ["auto", pytest.param("spark", marks=pytest.mark.soak)])
def test_a_predict_call_that_hangs_is_stopped_and_its_stack_is_told(
    spark: SparkSession, tmp_path: Path, plane: str
) -> None:
    model = save_sleepy(tmp_path / "model")
    spark.range(3).selectExpr("id", "IF(id = 2, 901D, 1D) AS x").write.parquet(str(tmp_path / "in"))
    target = {"path": str(tmp_path / "out"), "format": "parquet"}
    with pytest.raises(DeadlineError, match=r"`predict` took longer than 2 seconds") as stopped:
        job(model, tmp_path / "in", target, plane=plane, score={"predict_seconds": 2.0}).run(spark)
    assert "sleep_for_ever_in_c" in str(stopped.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("plane", ["auto", pytest.param("spark", marks=pytest.mark.soak)])
def test_a_job_that_takes_too_long_is_stopped(spark: SparkSession, tmp_path: Path, plane: str) -> None:
    model = save_sleepy(tmp_path / "model")
    spark.range(3).selectExpr("id", "IF(id = 2, 900D, 1D) AS x").write.parquet(str(tmp_path / "in"))
    target = {"path": str(tmp_path / "out"), "format": "parquet"}
    with pytest.raises(DeadlineError, match="The job took longer than 5 seconds, and was stopped"):
        job(model, tmp_path / "in", target, plane=plane, deadline_seconds=5, score={"predict_seconds": 20.0}).run(spark)
    assert not (tmp_path / "out").exists()


@pytest.mark.soak  # the same with engine local, in tests/local/test_deadlines.py, takes a second
def test_planning_that_takes_too_long_is_stopped(spark: SparkSession, tmp_path: Path) -> None:
    model = save_sleepy(tmp_path / "model")
    spark.range(1).selectExpr("id", "1D AS x").write.parquet(str(tmp_path / "in"))
    target = {"path": str(tmp_path / "out"), "format": "parquet"}
    with planning_that_hangs(tmp_path) as step:
        hanging = job(model, tmp_path / "in", target, deadline_seconds=1, score={"preprocess": step})
        with pytest.raises(DeadlineError, match="The job took longer than 1 seconds while it was planned"):
            hanging.run(spark)
    assert not (tmp_path / "out").exists()


@pytest.mark.soak
@pytest.mark.parametrize("door", ["score", "model_udf"])
def test_no_door_hangs_for_ever(spark: SparkSession, tmp_path: Path, door: str) -> None:
    model = save_sleepy(tmp_path / "model")
    rows = spark.range(3).selectExpr("id", "IF(id = 2, 901D, 1D) AS x")
    if door == "score":
        scored = score(rows, model, predict_seconds=1.0)
    else:
        scored = rows.select(model_udf(spark, model, predict_seconds=1.0)("x"))
    begin = time.monotonic()
    with pytest.raises(Py4JJavaError, match="Python worker exited unexpectedly"):
        scored.collect()
    assert time.monotonic() - begin < 60


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_run_may_go_on_with_the_other_engine(
    spark: SparkSession, line: str, source: Path, tmp_path: Path, breaks: Any, kind: str
) -> None:
    place = source
    if kind == "delta":
        place = tmp_path / "delta"
        rows = spark.read.parquet(str(source)).selectExpr("*", "'note' AS note", "array(id) AS ids")
        rows.write.format("delta").save(str(place))
    target = {"path": str(tmp_path / "out"), "format": "delta"}
    breaks("sealed:1:raise")
    with pytest.raises(InjectedError):
        job(line, place, target, engine="local", units={"bytes": 1}).run()
    breaks("")
    report = job(line, place, target).run(spark)
    assert (report.units_before, report.rows_scored) == (1, ROWS)
    assert job(line, place, target, engine="local").run().already_done
