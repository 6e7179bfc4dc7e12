"""The DAG of docs/schedule.md, parsed and run by the Airflow of PyPI, in an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.line import save_line

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/schedule.md").read_text()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an Airflow that shares no library with this environment."""
    folder = tmp_path_factory.mktemp("airflow") / "environment"
    uv, python = (str(Path(sys.executable).with_name(name)) for name in ("uv", "python"))
    subprocess.run([uv, "venv", "--quiet", "--python", python, str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python"), "apache-airflow==3.*"]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode and re.search("dns error|connect|timed out|Network", done.stderr):
        pytest.skip(f"PyPI is not reachable: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder / "bin/airflow"


def block(language: str, mark: str) -> str:
    (found,) = [each for each in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if mark in each]
    return str(found)


@pytest.mark.soak
def test_airflow_parses_the_dag_and_a_night_of_it_is_scored(airflow: Path, tmp_path: Path) -> None:
    for day in (27, 28):
        (tmp_path / f"in/day=2026-11-{day}").mkdir(parents=True)
        pq.write_table(pa.table({"id": [day], "x": [1.0 * day]}), tmp_path / f"in/day=2026-11-{day}/a.parquet")
    places = {
        "models:/flight_delay@champion": save_line(tmp_path / "model"),
        "/data/flights": str(tmp_path / "in"),
        "/data/delays": str(tmp_path / "out"),
    }
    job = block("yaml", "# job.yaml") + "engine: local\n"
    for place, here in places.items():
        job = job.replace(place, here)
    (tmp_path / "job.yaml").write_text(job)
    (tmp_path / "dags").mkdir()
    dag = block("python", "airflow.sdk").replace("/etc/nightly/job.yaml", str(tmp_path / "job.yaml"))
    (tmp_path / "dags/nightly.py").write_text(dag)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": f"{Path(sys.executable).parent}:{airflow.parent}:{os.environ['PATH']}",
    }

    def command(*arguments: str) -> str:
        done = subprocess.run([airflow, *arguments], env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    command("db", "migrate")
    said = command("dags", "test", "nightly", "2026-11-29")
    assert "state=success" in said
    assert "day=2026-11-28" in said
    assert pq.read_table(tmp_path / "out").column("id").to_pylist() == [28]
