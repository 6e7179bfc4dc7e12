"""Sources that only Spark can read: their rows are stored once, and a run that was stopped goes on with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import spark_infer
from spark_infer import PlanError, RunError, ScoringJob, score_table
from spark_infer.config import JobConfig
from spark_infer.errors import SourceError, TargetError
from spark_infer.runtime.failpoints import InjectedError
from tests.local.jobs import read
from tests.spark.tables.seen import no_spark_job

PAGE = Path(__file__).parents[2] / "docs" / "sources.md"
ROWS = 60
SECRET = "of-the-database-47"
QUERY = "select /*+ repartition(4) */ id, x + rand() as x from numbers"


@pytest.fixture
def numbers(spark: SparkSession, tmp_path: Path) -> pa.Table:
    """Sixty rows with ``id`` and ``x`` = id / 4, also as a temporary view of that name."""
    rows = pa.table({"id": np.arange(ROWS), "x": np.arange(ROWS) / 4})
    pq.write_table(rows, tmp_path / "numbers.parquet")
    spark.read.parquet(str(tmp_path / "numbers.parquet")).createOrReplaceTempView("numbers")
    return rows


def source_of(kind: str, spark: SparkSession, rows: pa.Table, folder: Path) -> dict[str, Any]:
    """The rows as a source of some kind, of two files where it has files."""
    if kind == "query":
        return {"query": QUERY}
    if kind == "view":
        return {"view": "numbers"}
    if kind == "frame":
        return {"frame": spark.table("numbers").selectExpr("id", "x + rand() as x"), "frame_name": "numbers of today"}
    folder.mkdir()
    for number, half in enumerate((rows.slice(0, ROWS // 2), rows.slice(ROWS // 2))):
        file = folder / f"{number}.{kind}"
        if kind == "csv":
            pa.csv.write_csv(half, file)
        elif kind == "orc":
            pa.orc.write_table(half, file)
        else:
            file.write_text("".join(f'{{"id": {row["id"]}, "x": {row["x"]}}}\n' for row in half.to_pylist()))
    columns = {"header": True, "inferSchema": True} if kind == "csv" else {}
    return {"path": str(folder), "format": kind, "options": {**columns, "password": SECRET}}


def job(model: str, source: dict[str, Any], target: dict[str, Any], **more: Any) -> ScoringJob:
    document = {"model": {"uri": model}, "source": source, "target": target, "units": {"bytes": 1}, **more}
    return ScoringJob(JobConfig.model_validate(document))


def stored_rows(folder: Path) -> list[list[tuple[int, float]]]:
    """What is stored beside a target, the rows of each time."""
    sessions = folder.glob(".out.spark_infer/*.stored/files/*")
    tables = [pq.read_table(each).sort_by("id") for each in sorted(sessions) if list(each.glob("*.parquet"))]
    return [list(zip(table["id"].to_pylist(), table["x"].to_pylist(), strict=True)) for table in tables]


def left_behind(folder: Path) -> str:
    """All that is in a target, in its log, and in the ledgers beside it."""
    return "".join(path.read_text(errors="replace") for path in folder.glob("*out*/**/*") if path.is_file())


@pytest.mark.parametrize(
    ("kind", "fault", "format"),
    [
        ("query", "seal:2", "parquet"),
        ("view", "storing:1", "parquet"),
        ("frame", "stored:1", "delta"),
        ("csv", "store:1", "parquet"),
        ("json", "report:1", "delta"),
        ("orc", "clean:1", "parquet"),
    ],
)
def test_a_run_that_was_stopped_goes_on_with_the_rows_that_were_stored(
    spark: SparkSession, line: str, numbers: pa.Table, tmp_path: Path, breaks: Any, kind: str, fault: str, format: str
) -> None:
    source = source_of(kind, spark, numbers, tmp_path / "in")
    target = {"path": str(tmp_path / "out"), "format": format, "mode": "append"}
    breaks(f"{fault}:raise")
    with pytest.raises(InjectedError):
        job(line, source, target).run(spark)
    is_stored = fault not in ("storing:1", "store:1")
    before = stored_rows(tmp_path)
    breaks("")
    plan = job(line, source, target).plan(spark)
    assert ("stored first" in str(plan), "scores the 60 rows" in str(plan)) == (not is_stored, is_stored)
    assert SECRET not in f"{plan}{left_behind(tmp_path)}"
    report = job(line, source, target).run(spark)
    assert SECRET not in f"{report}{left_behind(tmp_path)}"
    assert (report.rows_scored, report.already_done) == (ROWS, fault == "clean:1")
    found = [(row["id"], row["x"], row["prediction"]) for row in read(tmp_path / "out")]
    assert found == [(number, x, pytest.approx(2 * x)) for number, x, _ in found]
    assert [number for number, *_ in found] == list(range(ROWS))
    if is_stored:
        assert before == [[(number, x) for number, x, _ in found]]
    if kind not in ("query", "frame"):
        assert [x for _, x, _ in found] == numbers["x"].to_pylist()
    assert not list(tmp_path.glob(".out.spark_infer/*.stored"))
    if kind == "query":
        assert (report.units, report.units_before) == (4, 1)
        with no_spark_job(spark), pytest.raises(TargetError, match="append them again"):
            job(line, source, target).run(spark)
        again = job(line, source, target).run(spark, new_run=True)
        assert (again.rows_scored, len(read(tmp_path / "out"))) == (ROWS, 2 * ROWS)
        assert not list(tmp_path.glob(".out.spark_infer/*.stored"))


def test_a_query_with_a_parameter_is_scored_once_for_each_value(
    spark: SparkSession, line: str, numbers: pa.Table, tmp_path: Path
) -> None:
    def run(half: int) -> Any:
        return score_table(
            spark,
            source={"query": f"select id, x from numbers where id div {ROWS // 2} = ${{params.half}}"},
            target={"path": str(tmp_path / "out"), "mode": "append"},
            model=line,
            job_params={"half": half},
        )

    assert [run(half).rows_scored for half in (0, 1)] == [ROWS // 2, ROWS // 2]
    with no_spark_job(spark):
        again = run(1)
    assert (again.already_done, again.rows_scored) == (True, ROWS // 2)
    assert "which is not read again" in " ".join(again.warnings)
    assert [row["id"] for row in read(tmp_path / "out")] == list(range(ROWS))


def test_a_dataframe_is_scored_under_its_name_and_where_is_met_when_it_is_stored(
    spark: SparkSession, line: str, numbers: pa.Table, tmp_path: Path
) -> None:
    frame = spark.table("numbers")
    target = {"path": str(tmp_path / "out"), "mode": "append"}
    with pytest.raises(PlanError, match="a DataFrame needs a name"):
        score_table(spark, source=frame, target=target, model=line)
    shown = score_table(source=frame, source_name="monday", target=target, model=line, limit=3)
    assert shown.rows["prediction"].to_pylist() == pytest.approx([0.0, 0.5, 1.0])
    report = score_table(
        source={"frame": frame, "where": "id < 10"}, source_name="monday", target=target, model=line, plane="direct"
    )
    assert (report.source, report.rows_read, report.rows_scored) == ("DataFrame monday", 10, 10)
    with pytest.raises(TargetError, match="append them again"):
        score_table(source=frame, source_name="monday", target=target, model=line)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    example = example.replace("models:/churn@champion", line).replace("data/scored_sales", target["path"])
    names: dict[str, Any] = {"spark_infer": spark_infer, "df": frame}
    exec(example, names)  # under another name
    assert names["report"].rows_scored == ROWS


def test_what_spark_cannot_read_or_store_is_refused_by_name(
    spark: SparkSession, line: str, numbers: pa.Table, tmp_path: Path
) -> None:
    def problem(error: type[Exception] = SourceError, **source: Any) -> str:
        with pytest.raises(error) as found:
            job(line, source, {"path": str(tmp_path / "out")}).run(spark)
        assert not list(tmp_path.glob("*out*/**/*.parquet"))
        return str(found.value)

    assert "v: void" in problem(query="select 1D as x, null as v")
    assert "i: array<interval>" in problem(query="select 1D as x, array(make_interval(1)) as i")
    assert "x: 2 columns have this name" in problem(query="select 1D as x, 2D as X")
    assert "Spark cannot read" in problem(query="drop view numbers")
    assert spark.catalog.tableExists("numbers")
    assert "nowhere" in problem(view="nowhere")
    assert "spark.jars.packages" in problem(path=str(tmp_path), format="nosuchformat")
    database = {"url": "jdbc:sqlite::memory:", "dbtable": "sales", "password": SECRET}
    assert "the option `driver`" in problem(format="jdbc", options=database)
    assert "has no class org.sqlite.JDBC" in problem(format="jdbc", options={**database, "driver": "org.sqlite.JDBC"})
    assert "not a DataFrame" in problem(frame=object(), frame_name="o")
    assert "score_stream" in problem(frame=spark.readStream.format("rate").load(), frame_name="s")
    failed = problem(RunError, query="select id, cast('a' || id as double) as x from numbers")
    assert "none of its rows is scored" in failed
    few = job(line, {"view": "numbers"}, {"path": str(tmp_path / "out")}, min_rows=ROWS + 1)
    with pytest.raises(SourceError, match="The source has 60 rows"):
        few.run(spark)
    assert job(line, {"view": "numbers"}, {"path": str(tmp_path / "out")}).run(spark).rows_scored == ROWS


def test_values_of_all_types_are_stored_as_they_are(spark: SparkSession, line: str, tmp_path: Path) -> None:
    query = """
        select 1D as x, string(null) as n, double('NaN') as nan, -0D as zero, float(1.5) as f, bigint(-1) as l,
        decimal('12.345678901234567890123456789') as d, date'0001-01-01' as day, true as yes, binary('ab') as bytes,
        timestamp'1583-11-10 12:00:00.123456 UTC' as t, timestamp_ntz'1500-01-01 00:00:00' as ntz,
        array(1, null) as a, map('k', named_struct('s', array('v'))) as m, named_struct('b', int(null)) as s"""
    target = {"path": str(tmp_path / "out")}
    job(line, {"query": query}, target).run(spark)
    asked, written = spark.sql(query), spark.read.parquet(target["path"])
    columns = asked.columns
    assert written.select(columns).schema.simpleString() == asked.schema.simpleString()
    texts = [frame.select(columns).selectExpr("to_json(struct(*))").first() for frame in (asked, written)]
    assert texts[0] == texts[1]
