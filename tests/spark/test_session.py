"""A Spark session starts quietly, with the driver's Python on the workers, and says what is wrong when it cannot."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from spark_infer.config import SparkConfig
from spark_infer.spark.session import session_conf, start_session
from spark_infer.tables.delta import delta_conf

ROOT = Path(__file__).parents[2]
DELTA = {
    "spark.jars.packages": "io.delta:delta-spark_4.2_2.13:4.4.0",
    "spark.sql.extensions": "io.delta.Extension",
    "spark.sql.catalog.spark_catalog": "io.delta.Catalog",
}


def merged(
    config: SparkConfig,
    outer: dict[str, str] | None = None,
    delta: dict[str, str] | None = None,
    submitted: bool = False,
) -> dict[str, str]:
    return session_conf(config, app_name="job", outer=outer or {}, delta_conf=delta or {}, submitted=submitted)


def test_what_the_user_asked_for_wins_over_every_default() -> None:
    conf = merged(SparkConfig(conf={"spark.sql.session.timeZone": "Asia/Tokyo", "spark.driver.memory": "3g"}))
    assert conf["spark.sql.session.timeZone"] == "Asia/Tokyo"
    assert conf["spark.driver.memory"] == "3g"
    assert conf["spark.ui.enabled"] == "false"
    assert (conf["spark.master"], conf["spark.app.name"]) == ("local[*]", "job")


def test_spark_defaults_win_over_ours_and_are_not_repeated() -> None:
    outer = {"spark.ui.enabled": "true", "spark.hadoop.fs.s3a.secret.key": "s", "spark.master": "local[3]"}
    conf = merged(SparkConfig(), outer)
    assert "spark.ui.enabled" not in conf
    assert "spark.hadoop.fs.s3a.secret.key" not in conf
    assert conf["spark.master"] == "local[3]"


@pytest.mark.parametrize("submitted", [False, True])
def test_workers_of_this_machine_import_from_the_current_folder_only_where_the_driver_does(
    submitted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*filter(None, sys.path)])
    safe = "spark.executorEnv.PYTHONSAFEPATH"
    assert merged(SparkConfig(master="local[2]"), submitted=submitted)[safe] == "1"
    assert merged(SparkConfig(conf={safe: ""}), submitted=submitted)[safe] == ""
    assert safe not in merged(SparkConfig(), {safe: ""}, submitted=submitted)
    assert safe not in merged(SparkConfig(master="spark://host:7077"), submitted=submitted)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert safe not in merged(SparkConfig(master="local[2]"), submitted=submitted)


@pytest.mark.parametrize(
    ("name", "redacted"),
    [
        ("spark.hadoop.fs.azure.account.key.me.dfs.core.windows.net", True),
        ("spark.hadoop.fs.azure.sas.fixed.token.me", True),
        ("spark.hadoop.fs.azure.sas.c.me.blob.core.windows.net", True),
        ("spark.hadoop.fs.s3a.access.key", True),
        ("spark.hadoop.javax.jdo.option.ConnectionPassword", True),
        ("spark.sql.shuffle.partitions", False),
        ("spark.sql.session.timeZone", False),
    ],
)
def test_spark_hides_names_of_secrets_that_its_default_does_not_know(name: str, redacted: bool) -> None:
    assert bool(re.search(merged(SparkConfig())["spark.redaction.regex"], name)) is redacted
    assert merged(SparkConfig(conf={"spark.redaction.regex": "mine"}))["spark.redaction.regex"] == "mine"


def test_packages_and_extensions_of_the_user_are_merged_with_deltas() -> None:
    config = SparkConfig(conf={"spark.jars.packages": "a:b_2.13:1, c:d:2", "spark.sql.extensions": "mine.Extension"})
    conf = merged(config, delta=DELTA)
    assert conf["spark.jars.packages"] == "a:b_2.13:1,c:d:2,io.delta:delta-spark_4.2_2.13:4.4.0"
    assert conf["spark.sql.extensions"] == "mine.Extension,io.delta.Extension"


def test_packages_of_spark_defaults_are_merged_too() -> None:
    conf = merged(SparkConfig(), {"spark.jars.packages": "a:b:1"}, DELTA)
    assert conf["spark.jars.packages"] == "a:b:1,io.delta:delta-spark_4.2_2.13:4.4.0"


def test_a_delta_jar_and_a_catalog_that_the_user_chose_stay() -> None:
    chosen = {
        "spark.jars.packages": "io.delta:delta-spark_2.13:4.0.1",
        "spark.sql.catalog.spark_catalog": "my.Catalog",
    }
    conf = merged(SparkConfig(conf=chosen), delta=DELTA)
    assert chosen.items() <= conf.items()


def test_on_a_cluster_and_under_spark_submit_nothing_sizes_or_silences_spark() -> None:
    sizing = {"spark.driver.memory", "spark.ui.enabled", "spark.databricks.delta.snapshotPartitions"}
    assert not sizing & merged(SparkConfig(master="spark://host:7077")).keys()
    submitted = merged(SparkConfig(), {"spark.master": "local[2]", "spark.app.name": "theirs"}, submitted=True)
    assert not sizing & submitted.keys()
    assert submitted["spark.app.name"] == "theirs"
    assert submitted["spark.sql.session.timeZone"] == "UTC"


def test_a_running_session_is_used_as_it_is_and_said_so_without_values(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "spark_infer")
    config = SparkConfig(conf={"spark.my.password": "hunter2", "spark.sql.session.timeZone": "UTC"})
    assert start_session(config, app_name="other") is spark
    assert spark.conf.get("spark.my.password", None) is None
    assert "already running" in caplog.text
    assert "not applied: spark.my.password" in caplog.text
    assert "hunter2" not in caplog.text


def name_the_interpreter(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"python": [sys.executable] * batch.num_rows})


def test_workers_run_the_drivers_interpreter(spark: SparkSession) -> None:
    rows = spark.range(2).mapInArrow(name_the_interpreter, "python string").collect()
    assert {row.python for row in rows} == {sys.executable}


Start = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def fresh(tmp_path: Path) -> Start:
    """Start Spark in a process of its own; return what it printed and its standard error."""

    def start(script: str = "", environ: dict[str, str] | None = None, **given: Any) -> tuple[dict[str, Any], str]:
        code = f"""
import json, os, sys
from pathlib import Path
from spark_infer.config import SparkConfig
from spark_infer.errors import EnvironmentProblem
from spark_infer.spark.session import start_session

given = json.loads(sys.argv[1])
delta = given.pop("delta_conf", {{}})
facts = {{}}
try:
    spark = start_session(
        SparkConfig(**{{"master": "local[1]", **given}}), app_name="x", delta_conf=delta, log_file=Path("spark.log")
    )
except EnvironmentProblem as error:
    facts["refused"] = str(error)
else:
{textwrap.indent(textwrap.dedent(script) or "pass", "    ")}
print(json.dumps(facts))
"""
        (tmp_path / "program").mkdir()
        (tmp_path / "program" / "start.py").write_text(code)
        done = subprocess.run(
            [sys.executable, "program/start.py", json.dumps(given)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return start


@pytest.mark.slow
def test_a_fresh_start_is_silent_and_safe_though_python3_and_the_hostname_are_wrong(
    fresh: Start, tmp_path: Path
) -> None:
    bin_folder, temporary = tmp_path / "bin", tmp_path / "temporary"
    bin_folder.mkdir()
    temporary.mkdir()
    conf = {
        "spark.my.password": "hunter2",
        "spark.hadoop.fs.azure.account.key.me.dfs.core.windows.net": "hunter2==",
        "spark.hadoop.fs.azure.sas.c.me.blob.core.windows.net": "?sv=1&sig=hunter2",
        "spark.my.url": "jdbc:postgresql://host/db?user=me&password=hunter2",
        "spark.my.text": "a: \\\\host\\é ='hunter2'",
    }
    for name in ("python3", "python", "hostname"):
        (bin_folder / name).write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 1\n")
        (bin_folder / name).chmod(0o755)
    for name in ("pyarrow", "contextlib"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the current folder was imported')")
    facts, stderr = fresh(
        """
        def answer(batches):
            import pyarrow as pa
            for batch in batches:
                print("worker on stdout")
                print("worker on stderr", file=sys.stderr)
                yield pa.RecordBatch.from_pydict({"python": [sys.executable]})
        facts["python"] = spark.range(1).mapInArrow(answer, "python string").collect()[0][0]
        spark.range(3).write.format("delta").save("table")
        facts["rows"] = spark.read.format("delta").load("table").count()
        jvms = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]
        lines = []
        for pid in jvms:
            try:
                lines.append(Path("/proc", pid, "cmdline").read_bytes().decode())
            except OSError:
                pass
        facts["java_commands"] = sum("org.apache.spark.deploy.SparkSubmit" in line for line in lines)
        facts["shown"] = any("hunter2" in line for line in lines)
        facts["conf"] = {name: spark.conf.get(name) for name in given["conf"]}
        facts["redaction"] = spark.sparkContext.getConf().get("spark.redaction.regex")
        facts["packages"] = spark.conf.get("spark.jars.packages")
        ours = {"PYSPARK_PYTHON", "SPARK_LOCAL_IP", "SPARK_HOME", "PYSPARK_SUBMIT_ARGS"}
        facts["environ"] = sorted(ours & os.environ.keys())
        import warnings
        warnings.warn("mine")
        """,
        environ={"PATH": f"{bin_folder}:{os.environ['PATH']}", "TMPDIR": str(temporary)},
        conf=conf,
        delta_conf=delta_conf(),
    )
    assert facts.get("refused") is None
    assert facts["python"] == sys.executable
    assert facts["rows"] == 3
    assert facts["conf"] == conf
    assert "account" in facts["redaction"]
    assert facts["packages"] == delta_conf()["spark.jars.packages"]
    assert facts["java_commands"] >= 1
    assert not facts["shown"]
    assert list(temporary.glob("spark_infer-*")) == []
    assert facts["environ"] == []
    assert "UserWarning: mine" in stderr
    assert "WARN" not in stderr
    log = (tmp_path / "spark.log").read_text()
    assert "hunter2" not in log
    assert "resolving dependencies" in log
    assert "worker on stdout" in log
    assert "worker on stderr" in log


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"JAVA_HOME": "/nowhere"}, "JAVA_HOME is '/nowhere'"),
        ({"SPARK_HOME": "/nowhere"}, "SPARK_HOME is '/nowhere'"),
        ({"PYSPARK_PYTHON": "/nowhere/python"}, "'/nowhere/python', which does not start"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_jvm_starts(
    fresh: Start, tmp_path: Path, environ: dict[str, str], said: str
) -> None:
    facts, _ = fresh(environ=environ)
    assert said in facts["refused"]
    assert not (tmp_path / "spark.log").exists()


@pytest.mark.slow
def test_a_jar_that_cannot_be_fetched_names_the_log_and_the_fix(fresh: Start, tmp_path: Path) -> None:
    # A resolver that knows this machine alone: what a machine without a network has.
    (tmp_path / "ivy.xml").write_text(
        '<ivysettings><settings defaultResolver="here"/><resolvers><filesystem name="here">'
        f'<artifact pattern="{tmp_path}/[artifact].[ext]"/></filesystem></resolvers></ivysettings>'
    )
    facts, stderr = fresh(
        conf={
            "spark.jars.packages": "org.example:nothing:1.0",
            "spark.jars.ivySettings": str(tmp_path / "ivy.xml"),
            "spark.jars.ivy": str(tmp_path / "ivy"),
        }
    )
    assert "could not fetch the jars of spark.jars.packages (org.example:nothing:1.0)" in facts["refused"]
    assert "spark.log" in facts["refused"]
    assert "Maven Central" in facts["refused"]
    assert stderr == ""
    assert "org.example#nothing;1.0" in (tmp_path / "spark.log").read_text()


@pytest.mark.soak  # as is the next one: what is made of Java's words is in unit/spark/test_failed_start.py
def test_memory_that_the_machine_does_not_have_is_named(fresh: Start) -> None:
    facts, _ = fresh(conf={"spark.driver.memory": "9000000g"})
    assert "spark.driver.memory=9000000g" in facts["refused"]


@pytest.mark.soak
def test_an_address_of_another_machine_is_named(fresh: Start) -> None:
    facts, _ = fresh(environ={"SPARK_LOCAL_IP": "198.51.100.7"})
    assert "could not open its ports" in facts["refused"]
    assert "SPARK_LOCAL_IP=127.0.0.1" in facts["refused"]
