"""One job through every door writes equal tables: names, types and values, keys beyond what a double holds."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.tables.delta import delta_conf
from tests.connect.conftest import ROOT, SPARK_HOME, Server, run, save_line

BIG = 2**53 + 1
NOON = datetime.datetime(2024, 3, 31, 12, tzinfo=datetime.timezone.utc)

NOTEBOOK = """\
# Databricks notebook source
from spark_infer import ScoringJob

# COMMAND ----------

report = ScoringJob.from_yaml("job.yaml", ["target.path=notebook"]).run(spark)
print(report)
"""


def write_job(folder: Path) -> None:
    """Write a model, a table with every kind of column that may pass through, and a job."""
    save_line(folder / "model")
    rows = range(500)
    table = pa.table(
        {
            "id": pa.array([BIG + i for i in rows]),
            "x": pa.array([i / 4 for i in rows]),
            "n": pa.array(rows, pa.int32()),
            "name": pa.array([None if i % 7 == 0 else f"name {i} é" for i in rows]),
            "price": pa.array([Decimal(i).scaleb(-2) for i in rows], pa.decimal128(20, 2)),
            "day": pa.array([NOON.date() + datetime.timedelta(days=i) for i in rows]),
            "at": pa.array([NOON + datetime.timedelta(microseconds=i) for i in rows], pa.timestamp("us", "UTC")),
            "flag": pa.array([None if i % 5 == 0 else i % 2 == 0 for i in rows]),
            "tags": pa.array([[str(i)] * (i % 3) for i in rows]),
        }
    )
    (folder / "in").mkdir()
    pq.write_table(table, folder / "in" / "part-0.parquet", row_group_size=100)
    (folder / "notebook.py").write_text(NOTEBOOK)
    (folder / "job.yaml").write_text(
        "name: same\n"
        f"model: {folder}/model\n"
        f"source: {folder}/in\n"
        "target:\n  path: cli\n  format: delta\n  keep: all\n"
        "spark:\n  master: local[2]\n  conf:\n    spark.driver.memory: 1g\n"
    )


def by_command_line(folder: Path, server: Server) -> str:
    command = [sys.executable, "-c", "from spark_infer.cli.main import app; app()", "run", "job.yaml"]
    return run([*command, "--set", f"target.path={folder}/cli"], folder, _state(folder))


def by_spark_submit(folder: Path, server: Server) -> str:
    conf = {**delta_conf(), "spark.databricks.delta.snapshotPartitions": "2", "spark.ui.enabled": "false"}
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", "--driver-memory", "1g"]
    command += [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    command += [str(ROOT / "jobs" / "score_table.py"), "job.yaml", "--set", f"target.path={folder}/submit"]
    return run(command, folder, {"PYSPARK_DRIVER_PYTHON": sys.executable})


def by_connect(folder: Path, server: Server) -> str:
    command = [sys.executable, "-c", "from spark_infer.cli.main import app; app()", "run", "job.yaml"]
    command += ["--set", f"target.path={folder}/connect", "--set", "spark.master="]
    return run([*command, "--set", "spark.remote=${SERVER}"], folder, {**_state(folder), "SERVER": server.url})


def by_notebook(folder: Path, server: Server) -> str:
    """As Databricks runs one: there is a session, ``spark``; here its server is one that the program starts."""
    conf = {**delta_conf(), "spark.sql.session.timeZone": "UTC", "spark.ui.enabled": "false"}
    program = (
        "from pyspark.sql import SparkSession\n"
        "builder = SparkSession.builder.remote('local[2]')\n"
        f"for name, value in {conf!r}.items():\n    builder = builder.config(name, value)\n"
        "spark = builder.getOrCreate()\n"
        f"exec(open('notebook.py').read().replace('target.path=', 'target.path={folder}/'))\n"
    )
    return run([sys.executable, "-c", program], folder, {})


DOORS: Mapping[str, Callable[[Path, Server], str]] = {
    "cli": by_command_line,
    "submit": by_spark_submit,
    "connect": by_connect,
    "notebook": by_notebook,
}


def _state(folder: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(folder / "state")}


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_same_job_through_every_door_writes_equal_tables(server: Server, tmp_path: Path) -> None:
    write_job(tmp_path)
    tables = {}
    for name, door in DOORS.items():
        assert "500 read, 500 scored" in door(tmp_path, server)
        written = deltalake.DeltaTable(str(tmp_path / name))
        assert len(written.history()) == 1
        rows = written.to_pyarrow_table().sort_by("id")
        tables[name] = (written.schema().to_json(), rows.drop_columns(["scored_at"]))
    schema, rows = tables["cli"]
    assert rows["id"].to_pylist() == list(range(BIG, BIG + 500))
    assert [round(value, 9) for value in rows["prediction"].to_pylist()] == [i / 2 for i in range(500)]
    given = pq.read_table(tmp_path / "in").sort_by("id")
    for column in given.column_names:
        assert rows[column].to_pylist() == given[column].to_pylist()
    for name, (other_schema, other_rows) in tables.items():
        assert other_schema == schema, name
        assert other_rows.equals(rows), name
