"""Jobs whose target is a new table of the catalog: made once, whatever is killed when."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from spark_infer import Report, score_table
from spark_infer.errors import TargetError
from spark_infer.runtime.failpoints import InjectedError

ROWS = 40


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Numbers 0 to 39 in ``x``, in two table partitions."""
    path = str(tmp_path_factory.mktemp("numbers") / "numbers")
    rows = pa.table({"x": [float(each) for each in range(ROWS)], "half": [str(each % 2) for each in range(ROWS)]})
    write_deltalake(path, rows, partition_by=["half"])
    return path


@pytest.fixture
def name(spark: SparkSession, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name in a schema of its own."""
    schema = f"s_{abs(hash(request.node.name))}"
    spark.sql(f"CREATE SCHEMA {schema}")
    yield f"{schema}.Scored"
    spark.sql(f"DROP SCHEMA {schema} CASCADE")


def run(spark: SparkSession, source: str, model: str, target: dict[str, Any], **more: Any) -> Report:
    report: Report = score_table(spark, source=source, target={"mode": "append", **target}, model=model, **more)
    return report


def predictions(spark: SparkSession, table: str) -> list[float]:
    return sorted(row["prediction"] for row in spark.table(table).collect())


@pytest.mark.parametrize(
    ("plane", "target"),
    [
        ("auto", {"format": "parquet", "partition_by": ["half"]}),
        ("spark", {"format": "delta"}),
        pytest.param("auto", {"format": "delta", "partition_by": ["half"]}, marks=pytest.mark.soak),
        pytest.param("spark", {"format": "parquet"}, marks=pytest.mark.soak),
    ],
)
def test_a_run_that_ends_between_files_and_name_goes_on_and_registers_once(
    spark: SparkSession,
    source: str,
    line: str,
    name: str,
    tmp_path: Path,
    breaks: Callable[[str], None],
    plane: str,
    target: dict[str, Any],
) -> None:
    job = {"table": name, "location": str(tmp_path / "it's here"), "properties": {"team": "it's us"}, **target}
    breaks("register:1:raise")
    with pytest.raises(InjectedError):
        run(spark, source, line, job, plane=plane)
    assert not spark.catalog.tableExists(name)

    breaks("")
    report = run(spark, source, line, job, plane=plane)
    assert report.rows_scored == ROWS
    assert predictions(spark, name) == [2.0 * each for each in range(ROWS)]
    comments = {field.name: field.metadata.get("comment") for field in spark.table(name).schema}
    assert comments["prediction"] == "prediction of the model model"
    assert (comments["x"], comments["scored_at"]) == (None, "when the run began that made the prediction")
    described = {row[0]: row[1] for row in spark.sql(f"DESCRIBE TABLE EXTENDED {name}").collect()}
    assert described["Type"] == "EXTERNAL"
    assert "team=it's us" in described["Table Properties"]

    assert run(spark, source, line, job, plane=plane).already_done
    assert predictions(spark, name) == [2.0 * each for each in range(ROWS)]


def test_a_managed_table_whose_maker_is_killed_before_it_has_a_name_gets_it_from_the_same_command(
    spark: SparkSession, source: str, line: str, name: str, tmp_path: Path, breaks: Callable[[str], None]
) -> None:
    job = {"table": name, "format": "delta", "properties": {"team": "us"}}
    breaks("published:1:raise")
    with pytest.raises(InjectedError):
        run(spark, source, line, job)
    (folder,) = (row[1] for row in spark.sql(f"DESCRIBE TABLE EXTENDED {name}").collect() if row[0] == "Location")
    place = folder.removeprefix("file:")
    # What a kill between Delta's commit and the entry in the catalog leaves: the folder alone.
    shutil.copytree(place, tmp_path / "aside")
    spark.sql(f"DROP TABLE {name}")
    shutil.copytree(tmp_path / "aside", place)

    breaks("")
    report = run(spark, source, line, job)
    assert (report.rows_scored, report.rows_before) == (ROWS, ROWS)
    assert predictions(spark, name) == [2.0 * each for each in range(ROWS)]
    assert spark.sql(f"SHOW TBLPROPERTIES {name} ('team')").collect()[0]["value"] == "us"


def test_what_is_in_the_way_of_a_new_table_is_named(
    spark: SparkSession, source: str, line: str, name: str, tmp_path: Path
) -> None:
    schema = name.partition(".")[0]
    with pytest.raises(TargetError, match=f"There is no schema {schema}s .*did you mean '{schema}'"):
        run(spark, source, line, {"table": f"{schema}s.scored"})
    with pytest.raises(TargetError, match=r"There is no schema unity\.default"):
        run(spark, source, line, {"table": "unity.default.scored"})
    spark.range(1).createOrReplaceTempView("scores_view")
    with pytest.raises(TargetError, match="scores_view is a view, not a table"):
        run(spark, source, line, {"table": "scores_view"})
    spark.catalog.dropTempView("scores_view")
    there = str(tmp_path / "there")
    write_deltalake(there, pa.table({"x": [1.0]}))
    with pytest.raises(TargetError, match="which the catalog does not know as") as raised:
        run(spark, source, line, {"table": name, "location": there, "format": "delta"})
    statement = str(raised.value).partition("register it with ")[2].partition(", or name")[0]
    spark.sql(statement)
    assert spark.table(name).count() == 1
