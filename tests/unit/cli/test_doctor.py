"""`doctor` names the fix for each finding, and says with its exit code whether all is well."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import Result

from spark_infer.cli import findings
from spark_infer.errors import ModelNotFoundError
from spark_infer.spark import environment

Command = Callable[..., Result]


def program(path: Path, script: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in which doctor finds nothing to complain about; the folder holds all of it."""
    program(tmp_path / "java" / "bin" / "java", "echo 'openjdk version \"17.0.9\"' >&2")
    (tmp_path / "mlflow.db").touch()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("SPARK_INFER_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(findings, "ENOUGH_DISK_BYTES", 1)
    for name in ("CUDA_VISIBLE_DEVICES", "SPARK_CONF_DIR", "SPARK_HOME", "PYSPARK_PYTHON", "SPARK_LOCAL_DIRS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def statuses(result: Result) -> dict[str, str]:
    return {finding["name"]: finding["status"] for finding in json.loads(result.stdout)["findings"]}


def test_exit_code_0_and_no_problem_where_all_is_well(well: Path, command: Command) -> None:
    result = command("doctor")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("doctor: all is well\n")
    assert "17, " in result.stdout


@pytest.mark.parametrize("java", [True, False])
def test_an_unknown_model_has_the_exit_code_of_plan_whatever_else_is_wrong(
    well: Path, command: Command, java: bool
) -> None:
    if not java:
        (well / "java" / "bin" / "java").unlink()
    result = command("doctor", "--row-order", str(well / "no-model"), "--log-file", str(well / "doctor.log"))
    assert result.exit_code == ModelNotFoundError.exit_code == 2
    assert ("! java" in result.stdout) is not java
    assert "! row order: " in result.stdout


def test_exit_code_3_and_the_fix_where_something_is_not(well: Path, command: Command) -> None:
    (well / "java" / "bin" / "java").unlink()
    result = command("doctor")
    assert result.exit_code == 3
    assert result.stdout.startswith("doctor: 1 problem\n")
    assert "fix: install Java 17 or newer" in result.stdout


def test_json_holds_every_finding_with_its_fix(well: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", program(well / "python", "exit 1"))
    result = command("doctor", "--json")
    assert result.exit_code == 3
    facts = json.loads(result.stdout)
    assert facts["well"] is False
    wrong = [finding for finding in facts["findings"] if finding["status"] == "problem"]
    assert [finding["name"] for finding in wrong] == ["workers"]
    assert all(finding["fix"] for finding in wrong)
    assert set(statuses(result)) == {
        "python",
        "java",
        "spark",
        "delta",
        "delta jar",
        "mlflow",
        "workers",
        "memory",
        "gpus",
        "slots",
        "model store",
        "temp",
    }


def test_a_worker_of_another_python_or_without_our_packages_is_a_problem(tmp_path: Path) -> None:
    other = program(tmp_path / "other", "echo 2.7; echo")
    finding = findings.look_at_workers({"PYSPARK_PYTHON": other})
    assert (finding.status, "is Python 2.7" in finding.found) == ("problem", True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    bare = program(tmp_path / "bare", f"echo {version}; echo pyarrow spark_infer")
    finding = findings.look_at_workers({"PYSPARK_PYTHON": bare})
    assert finding.found == f"{bare} cannot import pyarrow, spark_infer"
    assert findings.look_at_workers({}).status == "ok"


def test_a_spark_home_of_another_version_is_a_problem(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "spark-submit", "")
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark-core_2.13-3.5.1.jar").touch()
    finding = findings.look_at_spark({"SPARK_HOME": str(tmp_path)})
    assert (finding.status, "3.5.1" in finding.found) == ("problem", True)


def test_a_pyspark_without_pandas_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_installed", {"pyspark": "4.2.0"}.get)
    finding = findings.look_at_spark({})
    assert (finding.status, finding.fix) == ("problem", "pip install 'spark-infer[spark]'")
    assert "pandas is not installed" in finding.found


def test_packages_that_are_not_installed_are_told_with_the_extra_that_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(findings, "_installed", lambda distribution: None)
    assert findings.look_at_spark({}).fix == "pip install 'spark-infer[spark]'"
    assert findings.look_at_delta({}).fix == "pip install 'spark-infer[delta]'"
    assert findings.look_at_mlflow({}, None).fix == "pip install 'spark-infer[mlflow]'"
    assert findings.look_at_delta_jar({}).status == "note"


def test_a_delta_spark_for_another_pyspark_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"delta-spark": "3.0.0", "pyspark": "4.2.0"}
    monkeypatch.setattr(findings, "_installed", versions.get)
    monkeypatch.setattr(metadata, "requires", lambda name: ["importlib_metadata>=1.0.0", "pyspark<3.6,>=3.5"])
    finding = findings.look_at_delta({})
    assert finding.found == "delta-spark 3.0.0 is made for pyspark<3.6,>=3.5, and pyspark is 4.2.0"
    assert finding.status == "problem"


@pytest.mark.parametrize(
    ("version", "requirement", "meets"),
    [
        ("4.2.0", "pyspark<=4.2.0,>=4.0.1", True),
        ("4.10.0", "pyspark<=4.2.0,>=4.0.1", False),
        ("4.0.0", "pyspark<=4.2.0,>=4.0.1", False),
        ("4.2.0.dev1", "pyspark>=4.2.0", True),
        ("4.2.3", "pyspark~=4.2.0", True),
        ("4.3.0", "pyspark~=4.2.0", False),
        ("4.2.0", "pyspark==4.2.0; extra == 'x'", True),
        ("4.2.0", "pyspark", True),
    ],
)
def test_versions_are_compared_by_number(
    version: str, requirement: str, meets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "_installed", {"delta-spark": "4.4.0", "pyspark": version}.get)
    monkeypatch.setattr(metadata, "requires", lambda name: [requirement])
    assert (findings.look_at_delta({}).status == "ok") is meets


@pytest.mark.parametrize("cache", [".ivy2.5.2/jars/{g}_{a}-{v}.jar", ".m2/repository/io/delta/{a}/{v}/{a}-{v}.jar"])
def test_deltas_jar_is_found_in_the_caches_or_said_to_be_downloaded(tmp_path: Path, cache: str) -> None:
    from spark_infer.tables.delta import delta_conf

    finding = findings.look_at_delta_jar({"HOME": str(tmp_path)})
    assert (finding.status, "the first start of Spark downloads it" in finding.fix) == ("note", True)
    group, artifact, version = delta_conf()["spark.jars.packages"].split(":")
    jar = tmp_path / cache.format(g=group, a=artifact, v=version)
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert findings.look_at_delta_jar({"HOME": str(tmp_path)}).found.endswith(str(jar))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that answers every question with one status."""
    status = request.param

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("server", "status"), [(200, "ok"), (401, "ok"), (404, "ok"), (500, "problem")], indirect=["server"]
)
def test_an_mlflow_server_that_answers_is_there_also_when_it_wants_a_password(server: str, status: str) -> None:
    assert findings.look_at_mlflow({"MLFLOW_TRACKING_URI": server}, None).status == status


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "form", ["http://user:hunter2@127.0.0.1:{}", "postgresql+psycopg2://u:hunter2@127.0.0.1:{}/db"]
)
def test_a_dead_server_is_a_problem_and_its_password_is_not_shown(form: str) -> None:
    finding = findings.look_at_mlflow({}, form.format(closed_port()))
    assert finding.status == "problem"
    assert "does not answer" in finding.found
    assert "hunter2" not in finding.found


def test_a_database_server_that_listens_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        uri = f"mysql://127.0.0.1:{listening.getsockname()[1]}/db"
        assert findings.look_at_mlflow({}, uri).status == "ok"


def test_a_server_that_keeps_silent_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_REGISTRY_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        finding = findings.look_at_mlflow({}, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert finding.status == "problem"


def test_stores_in_files_are_looked_up(tmp_path: Path) -> None:
    assert findings.look_at_mlflow({}, f"sqlite:///{tmp_path}/none.db").status == "problem"
    assert findings.look_at_mlflow({}, f"file://{tmp_path}").status == "problem"
    assert findings.look_at_mlflow({}, None).status == "note"


def test_a_folder_without_room_is_a_problem_and_one_that_is_not_there_yet_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "ENOUGH_DISK_BYTES", 1)
    assert findings.look_at_folder("temp", tmp_path / "a" / "b", "HERE").status == "ok"
    monkeypatch.setattr(findings, "ENOUGH_DISK_BYTES", 2**80)
    finding = findings.look_at_folder("temp", tmp_path, "HERE")
    assert (finding.status, "HERE" in finding.fix) == ("problem", True)
    (tmp_path / "file").touch()
    assert findings.look_at_folder("temp", tmp_path / "file", "HERE").status == "problem"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are counted otherwise here")
def test_little_memory_is_a_note_with_what_spark_would_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "memory_bytes", lambda: 2 * 2**30)
    finding = findings.look_at_memory()
    assert (finding.status, "1024m" in finding.found) == ("note", True)
