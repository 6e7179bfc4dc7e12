"""A new table of a real Hive metastore (Derby): its maker is killed before it has a name, and it is registered once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.line import save_line
from tests.soak.tables import expected, make_source, read
from tests.soak.test_kills import drive

pytestmark = pytest.mark.soak

LOOK = """
import json, sys
from spark_infer.config import SparkConfig
from spark_infer.spark.session import start_session
from spark_infer.tables.delta import delta_conf
config = SparkConfig(master="local[2]", conf=json.loads(sys.argv[1]))
spark = start_session(config, app_name="looks", delta_conf=delta_conf())
details = {row[0]: row[1] for row in spark.sql("DESCRIBE TABLE EXTENDED scored").collect()}
comments = {row[0]: row[2] for row in spark.sql("DESCRIBE TABLE scored").collect()}
print(json.dumps([spark.table("scored").count(), details["Type"], details["Table Properties"], comments["prediction"]]))
"""


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_the_command_after_a_kill_registers_the_table_in_hive(tmp_path: Path, kind: str) -> None:
    make_source(tmp_path / "source", kind)
    conf = {
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={tmp_path}/metastore;create=true",
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={tmp_path}",
    }
    target = {
        "table": "Scored",
        "location": str(tmp_path / "out"),
        "properties": {"team": "us"},
        "partition_by": ["part"],
    }
    job = {
        "model": save_line(tmp_path / "model"),
        "source": str(tmp_path / "source"),
        "target": {**target, "mode": "append", "format": kind},
        "spark": {"master": "local[2]", "conf": conf},
    }
    assert drive(job, "register:1:sigkill", tmp_path / "killed") is None
    assert (tmp_path / "killed").exists()
    report = drive(job, "", tmp_path / "none")
    assert report is not None
    assert report["rows_scored"] == expected(old=False, new=True).total()
    assert read(tmp_path / "out") == expected(old=False, new=True)
    looked = subprocess.run([sys.executable, "-c", LOOK, json.dumps(conf)], capture_output=True, text=True, check=True)
    rows, type_, properties, comment = json.loads(looked.stdout.splitlines()[-1])
    assert (rows, type_, "team=us" in properties) == (report["rows_scored"], "EXTERNAL", True)
    assert comment == "prediction of the model model"
