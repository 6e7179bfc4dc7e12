"""Both planes on tables with everything that Spark and Delta can put into one: the same rows, value by value.

A table whose files may hold other values than Spark reads must be left to Spark, and the plan must say why.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_infer import ScoringJob, score_table
from spark_infer.config import JobConfig
from spark_infer.engines.local import units as local_units
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.errors import PlanError
from spark_infer.job.run import run_job
from tests.here import tasks_here
from tests.spark.odd_tables import (
    CASES,
    Case,
    filled_by_delta,
    old_calendar,
    prepared,
    rows_of,
)
from tests.spark.since import generated_columns

# Much like another one, and for the soak.
LIKE_ANOTHER = (
    "Delta, some rows deleted",
    "Delta, deletion vectors in an older version alone",
    "Delta, deletion vectors on, none there",
    "Delta, deletion vectors, a merge and a condition",
    "Delta, widened from a float",
    "Delta, columns mapped by name",
    "Delta, shallow clone",
    "Delta, padded text",
    "reals and instants as partitions",
    "Delta, widened",
    "every type, Delta",
    "milliseconds",
    "written by Arrow, plain",
    "Delta, column added later",
    "partitions, Delta",
    "decimals as partitions",
    "a constant column as partition",
    "old calendar, INT96",
)

# What Spark, Delta and pyarrow write and read differently from version to version.
FOR_EACH_VERSION = (
    "every type",
    "partitions",
    "INT96",
    "old calendar",
    "written by Arrow",
    "Delta, deletion vectors",
    "Delta, columns mapped by id",
    "Delta, columns that Delta fills",
    "a condition",
)

Tables = Callable[[Callable[[SparkSession, Path], None]], Path]


@pytest.fixture(scope="module")
def tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Returns a table's folder; the cases that read the same table in several ways make it once."""

    @cache
    def made(make: Callable[[SparkSession, Path], None]) -> Path:
        folder = tmp_path_factory.mktemp("table") / "in"
        make(spark, folder)
        return folder

    return made


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[
                *([pytest.mark.soak] if name in LIKE_ANOTHER else []),
                *([pytest.mark.matrix] if name in FOR_EACH_VERSION else []),
                *([generated_columns] if CASES[name].make is filled_by_delta else []),
            ],
        )
        for name in CASES
    ],
)
def test_both_planes_write_the_same_rows(
    spark: SparkSession, line: str, tables: Tables, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    source = {"path": str(tables(case.make)), **(case.source or {})}
    written = {}
    # Where only Spark reads, both are one.
    for plane in ("auto", "spark") if case.doubt is None else ("auto",):
        target = {"path": str(tmp_path / plane), **(case.target or {})}
        job = prepared(spark, line, source, target, plane)
        report = run_job(job)
        assert report.rows_read == report.rows_scored
        assert not [warning for warning in report.warnings if "began again" in warning]
        written[plane] = spark.read.format(job.write.location.format).load(str(tmp_path / plane))
        if plane == "auto":
            _check_choice(job, case)
    by_spark = written.get("spark", written["auto"])
    assert written["auto"].schema == by_spark.schema
    expected = rows_of(by_spark)
    assert by_spark is written["auto"] or rows_of(written["auto"]) == expected
    assert name == "no rows" or expected
    local = JobConfig.model_validate(
        {
            "model": {"uri": line},
            "source": source,
            "target": {"path": str(tmp_path / "local"), **(case.target or {})},
            "engine": "local",
        }
    )
    if case.doubt or case.writes or case.only_spark:
        with pytest.raises(PlanError, match=r"[Oo]nly Spark|engine: spark") as refused:
            ScoringJob(local).run()
        assert (case.only_spark or case.doubt or case.writes or "") in str(refused.value)
        assert not (tmp_path / "local").exists()
        return
    # What its processes do, here: starting them is the business of tests/local, and takes seconds each time.
    monkeypatch.setattr(local_units, "do_tasks", tasks_here)
    report = ScoringJob(local).run()
    assert report.rows_scored == len(expected)
    alone = spark.read.format(local.target.format or job.write.location.format).load(str(tmp_path / "local"))
    assert alone.schema == by_spark.schema
    assert rows_of(alone) == expected


def _check_choice(job: PreparedJob, case: Case) -> None:
    if case.doubt is not None:
        assert (job.plane.name, job.plane.sink) == ("spark", None)
        assert case.doubt in job.plane.why
        return
    assert job.plane.name == "direct", job.plane.why
    if case.writes is None:
        assert job.plane.sink is not None, job.plane.writes_why
    else:
        assert job.plane.sink is None
        assert case.writes in job.plane.writes_why


def test_what_only_spark_reads_is_refused_where_the_direct_plane_is_asked_for(
    spark: SparkSession, line: str, tmp_path: Path
) -> None:
    old_calendar(spark, tmp_path / "in")
    with pytest.raises(PlanError, match="direct plane was asked for") as refused:
        score_table(spark, source=str(tmp_path / "in"), target=str(tmp_path / "out"), model=line, plane="direct")
    assert "old calendar" in str(refused.value)
