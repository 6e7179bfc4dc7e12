"""How the JVMs of the tests start: light, and with their classes from an archive that is made once for all of them.

    python -m tests.jvm         # makes the archive, in build/, where there is none for this Java and this Spark

A JVM that lives for a minute earns nothing by compiling hard, and every process here shares few cores. Without the
archive all tests run as well; a JVM spends 5 seconds more on its way to a Delta table.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# With one compiler Java keeps 48 MB for what it has compiled; a session of minutes fills that and compiles again.
# The last one spares a JVM the full collections of garbage on its way to as many classes as Spark has.
LIGHT = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:MetaspaceSize=300m"
LONG = "-Xms800m -Xmn400m"
"""Added for a JVM of 2 GB that lives for minutes: room for young objects, so that it seldom collects garbage."""

CALENDAR = {
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
}
"""Defaults of Spark 4, without which Spark 3.5 does not write tables with dates of the old calendar for the tests."""

SMALL_TABLES = {
    # Compiling an operator takes longer than a few thousand rows do without.
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    # Neither does a query of a few rows earn it to be planned again after each stage.
    "spark.sql.adaptive.enabled": "false",
    # By default each sort and each aggregation of each task takes, and clears, 32 MB or more.
    "spark.buffer.pageSize": "1m",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}
"""Settings of Spark for tables of a few thousand rows; the tests of tests/e2e have Spark's defaults instead."""


def options() -> str:
    """What each JVM is started with; one whose class path is another one than the archive's does without it."""
    there = archive()
    return f"{LIGHT} -XX:SharedArchiveFile={there} -Xlog:cds*=off" if there is not None and there.is_file() else LIGHT


def archive() -> Path | None:
    """Where the archive for this Java and this Spark is; None where there can be none."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java") if home is None else f"{home}/bin/java"
    if java is None or not os.path.exists(java) or any(each.isspace() for each in str(ROOT)):
        return None
    facts = [os.path.realpath(java), os.stat(java).st_mtime_ns]
    try:
        facts += [version("pyspark"), version("delta-spark"), sys.prefix]
    except PackageNotFoundError:
        return None
    return ROOT / "build" / f"classes-{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}.jsa"


def make() -> None:
    """Have a JVM do a bit of everything, and keep the classes that it has loaded when it ends."""
    there = archive()
    if there is None or there.is_file():
        return
    there.parent.mkdir(exist_ok=True)
    for old in there.parent.glob("classes-*.jsa"):
        old.unlink()
    with tempfile.TemporaryDirectory(dir=there.parent) as folder:
        made = Path(folder) / "made.jsa"
        os.environ["SPARK_SUBMIT_OPTS"] = f"{LIGHT} -XX:ArchiveClassesAtExit={made} -Xlog:cds*=off"
        _exercise(Path(folder))
        if made.is_file():  # a Java without an archive of its own makes none
            made.rename(there)


def _exercise(folder: Path) -> None:
    from spark_infer.config import SparkConfig
    from spark_infer.spark.session import start_session
    from spark_infer.tables.delta import delta_conf

    conf = {"spark.local.dir": str(folder), "spark.sql.warehouse.dir": str(folder), "spark.ui.enabled": "false"}
    spark = start_session(
        SparkConfig(master="local[2]", conf=conf),
        app_name="classes",
        delta_conf=delta_conf(),
        log_file=folder / "log",
    )
    path = str(folder / "table")
    rows = spark.range(10).selectExpr("id", "id * 0.5D AS x", "'t' AS t", "array(id) AS a")
    rows.write.partitionBy("t").parquet(f"{path}-parquet")
    rows.write.format("delta").partitionBy("t").save(path)
    rows.mapInArrow(lambda batches: batches, rows.schema).write.format("delta").mode("append").save(path)
    spark.sql(f"DESCRIBE HISTORY delta.`{path}`").collect()
    rows.createOrReplaceTempView("rows")
    spark.sql(f"MERGE INTO delta.`{path}` t USING rows ON t.id = rows.id + 5 WHEN NOT MATCHED THEN INSERT *")
    spark.read.parquet(f"{path}-parquet").where("id > 3").groupBy("t").count().orderBy("t").collect()
    gateway: Any = spark.sparkContext._gateway
    spark.stop()
    gateway.proc.stdin.close()  # for which the JVM waits
    gateway.proc.wait(timeout=120)


if __name__ == "__main__":
    make()
