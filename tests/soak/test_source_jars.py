"""Sources that only Spark can read, with the real jars of their formats: commands that are killed at random moments.

The jars come from Maven Central (`spark.jars.packages`), once for a machine. Iceberg has no runtime for Spark 4.2, and
that for 4.1 does not run there; `make test-matrix` makes an environment with PySpark 4.1, where

    build/matrix/spark-4.1/bin/python -m pytest -m soak tests/soak/test_source_jars.py -k iceberg

kills the commands that read an Iceberg table.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyspark
import pytest

from tests.jvm import SMALL_TABLES
from tests.line import save_light_line
from tests.local.jobs import read

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

ROWS, FILES, KILLS = 4000, 8, 3
SPARK = pyspark.__version__[:3]
AVRO = "org.apache.spark:spark-avro_2.13:" + {"4.1": "4.1.1", "4.2": "4.2.0"}[SPARK]
SQLITE = "org.xerial:sqlite-jdbc:3.54.1.0"
ICEBERG = "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0"
HAS_ICEBERG = SPARK == "4.1"


@dataclass(frozen=True)
class Kind:
    """A kind of source; `{here}` in its values is the folder of the sources.

    Attributes:
        source: The source of the job.
        jar: What the session gets from Maven Central.
        conf: More settings of the session.
        target: The table format of the target.
        units: How many units they are; None where Spark's packing of small files decides.
    """

    source: dict[str, Any]
    jar: str = ""
    conf: dict[str, str] = field(default_factory=dict)
    target: str = "parquet"
    units: int | None = None


LAKE = {
    "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
    "spark.sql.catalog.lake.type": "hadoop",
    "spark.sql.catalog.lake.warehouse": "{here}/lake",
}
DATABASE = {"url": "jdbc:sqlite:{here}/shop.db", "driver": "org.sqlite.JDBC", "dbtable": "sales"}

KINDS = {
    "avro": Kind({"path": "{here}/avro", "format": "avro"}, AVRO, target="delta"),
    "jdbc": Kind({"format": "jdbc", "options": DATABASE}, SQLITE, units=1),
}
if HAS_ICEBERG:
    KINDS["iceberg"] = Kind({"view": "lake.shop.sales"}, ICEBERG, LAKE)

MAKE = """
import json, sys
from spark_infer.config import SparkConfig
from spark_infer.spark.session import start_session
here, rows, files, has_iceberg, conf = json.loads(sys.argv[1])
spark = start_session(SparkConfig(master="local[2]", conf=conf), app_name="makes the sources")
numbers = spark.range(0, rows, 1, files).selectExpr("id", "id / 4 AS x")
numbers.write.format("avro").save(f"{here}/avro")
if has_iceberg:
    numbers.writeTo("lake.shop.sales").using("iceberg").create()
spark.stop()
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same rows as each kind of source: ``x`` is a quarter of ``id``."""
    here = tmp_path_factory.mktemp("sources")
    with sqlite3.connect(here / "shop.db") as database:
        database.execute("CREATE TABLE sales (id INTEGER NOT NULL, x DOUBLE NOT NULL)")
        database.executemany("INSERT INTO sales VALUES (?, ?)", [(number, number / 4) for number in range(ROWS)])
    lake = LAKE if HAS_ICEBERG else {}
    conf = {"spark.jars.packages": f"{AVRO},{ICEBERG}", **lake}
    asked = json.dumps([str(here), ROWS, FILES, HAS_ICEBERG, _in(here, conf)])
    made = subprocess.run([sys.executable, "-c", MAKE, asked], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-3000:]
    return here


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_light_line(tmp_path_factory.mktemp("line") / "model")


class Commands:
    """The commands of a job, each a process of its own.

    Args:
        folder: Where the job file, the target and the logs lie.
        document: The job.
    """

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        self.folder = folder
        (folder / "job.json").write_text(json.dumps(document))

    def run(self, command: str = "run", *, kill_after: float | None = None, whole: bool = True) -> tuple[int, str]:
        """Run a command to its end, or kill it after some seconds; returns its exit code and output.

        Args:
            command: Its name.
            kill_after: The seconds.
            whole: Whether all processes of its group are killed, Spark's JVM among them; else the driver alone.
        """
        arguments = [sys.executable, "-m", "spark_infer.cli.main", command, "job.json", "--json"]
        environ = {**os.environ, "XDG_STATE_HOME": str(self.folder / "logs")}
        with subprocess.Popen(
            arguments,
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as running:
            try:
                shown, _ = running.communicate(timeout=kill_after)
            except subprocess.TimeoutExpired:
                (os.killpg if whole else os.kill)(running.pid, signal.SIGKILL)
                shown, _ = running.communicate()
        return running.returncode, shown

    def stored(self) -> dict[str, list[tuple[int, float]]]:
        """The rows that are sealed as stored, by the session that stored them."""
        found = {}
        for unit in self.folder.glob(".out.spark_infer/*.stored/units/*.json"):
            session = json.loads(unit.read_text())["facts"]["session"]
            rows = read(unit.parents[1] / "files" / session)
            found[session] = [(row["id"], row["x"]) for row in rows]
        return found

    def state(self) -> str:
        """How far the job has come."""
        ledgers = self.folder / ".out.spark_infer"
        units = [path for path in ledgers.glob("*/units/*.json") if not path.parents[1].name.endswith(".stored")]
        storing = any(ledgers.glob("*.stored/files/*"))
        return f"storing={storing} stored={len(self.stored())} units={len(units)} out={(self.folder / 'out').exists()}"


@pytest.mark.parametrize("name", KINDS)
def test_a_command_that_is_killed_at_random_moments_scores_the_rows_once(
    sources: Path, line: str, tmp_path: Path, name: str
) -> None:
    kind, commands = KINDS[name], Commands(tmp_path, _job(KINDS[name], sources, line))
    begun = time.monotonic()
    code, plan = commands.run("plan")
    seconds = time.monotonic() - begun
    assert (code, "stored first" in plan) == (0, True), plan
    killed, stored, report = _killed_until_done(commands, random.Random(name), seconds)
    logger.info("%s: killed at %s", name, killed)
    assert killed
    assert len(stored) <= 1, "rows that were stored are stored again"
    found = [(row["id"], row["x"], row["prediction"]) for row in read(tmp_path / "out")]
    assert [id_ for id_, *_ in found] == list(range(ROWS))
    assert [prediction for *_, prediction in found] == [2 * x for _, x, _ in found]
    assert [x for _, x, _ in found] == [number / 4 for number in range(ROWS)]
    if stored:
        assert [*stored.values()] == [[(id_, x) for id_, x, _ in found]]
    if report is not None:
        assert (report["rows_scored"], report["units"]) == (ROWS, kind.units or report["units"])
    code, shown = commands.run()
    assert (code, "append them again" in shown) == (2, True), shown
    assert len(read(tmp_path / "out")) == ROWS
    assert not list(tmp_path.glob(".out.spark_infer/*.stored"))


def _killed_until_done(
    commands: Commands, chance: random.Random, seconds: float
) -> tuple[list[str], dict[str, list[tuple[int, float]]], dict[str, Any] | None]:
    """Run a job whose first commands are killed; returns where these were, what they had stored, and the report.

    There is no report where a command was killed after its last step: the next one is refused as finished.

    Args:
        commands: The job.
        chance: Decides the moments, and whether the JVM is killed with the driver.
        seconds: How long the job's plan takes. A run takes half as long again, and most of it is the start of Spark.
    """
    killed: list[str] = []
    stored: dict[str, list[tuple[int, float]]] = {}
    code, shown = 0, ""
    for number in range(KILLS + 1):
        moment = chance.uniform(0.8, 1.6) if number else chance.uniform(0.5, 1)
        whole = chance.random() < 0.5
        code, shown = commands.run(kill_after=moment * seconds if number < KILLS else None, whole=whole)
        stored |= commands.stored()
        if code != -signal.SIGKILL:
            break
        killed.append(f"{moment:.2f} of {seconds:.1f} s, {'all' if whole else 'driver'}: {commands.state()}")
    assert code == 0 or "append them again" in shown, shown
    return killed, stored, None if code else json.loads(shown[shown.index("{") :])


@pytest.mark.skipif(HAS_ICEBERG, reason="this Spark has a runtime of Iceberg, which the test above reads with")
def test_a_jar_for_another_version_of_spark_is_refused_in_words(line: str, tmp_path: Path) -> None:
    commands = Commands(tmp_path, _job(Kind({"view": "lake.shop.sales"}, ICEBERG, LAKE), tmp_path, line))
    code, shown = commands.run("plan")
    assert (code, "made for another version of Spark" in shown) == (2, True), shown


def _job(kind: Kind, sources: Path, model: str) -> dict[str, Any]:
    packages = {"spark.jars.packages": kind.jar} if kind.jar else {}
    document = {
        "name": "sales",
        "model": model,
        "source": kind.source,
        "target": {"path": "out", "format": kind.target, "mode": "append"},
        "units": {"bytes": 1},
        "spark": {"master": "local[2]", "conf": {**SMALL_TABLES, **packages, **kind.conf}},
    }
    return _in(sources, document)


def _in(here: Path, value: dict[str, Any]) -> dict[str, Any]:
    """Put the folder of the sources into the values."""
    placed: dict[str, Any] = json.loads(json.dumps(value).replace("{here}", str(here)))
    return placed
