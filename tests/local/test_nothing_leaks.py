"""Planted secrets and values of rows are looked for in all that commands print, leave behind, or show to `ps`."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature

from spark_infer import RunError, ScoringJob
from spark_infer.errors import ConfigError, SparkInferError
from spark_infer.job.units.history import history
from spark_infer.tables.local_tables import LocalTables

SECRET = "planted-s3cret-7519"
ROW = "planted-value-of-a-row"
MODEL = f"""
import logging
import os
import threading
import warnings

import mlflow


class Indiscreet(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        found = [*model_input["name"], *params.values(), *context.model_config.values(), os.environ["HF_TOKEN"]]
        said = " ".join(found)
        print(said)
        warnings.warn(said)
        logging.getLogger("framework").error(said)
        if "{ROW}" not in said:  # the example that the model is tried with
            return [{{"p": 1.0}} for name in model_input["name"]]
        thread = threading.Thread(target=print, args=(said,), kwargs={{"flush": True}})
        thread.start()
        thread.join()
        os.write(1, said.encode() + b"\\n")
        os.write(2, said.encode() + b"\\n")
        os.system("echo '" + said + "'; echo '" + said + "' >&2")
        for name in model_input["name"]:
            if "raise" in name:
                raise ValueError(said)
            if "keys" in name:
                return [{{name: 1.0, said: 2.0}} for name in model_input["name"]]
        return [{{"p": 1.0}} for name in model_input["name"]]


mlflow.models.set_model(Indiscreet())
"""
JOB = f"""
name: nightly
engine: local
model: {{uri: model, tracking_uri: "https://me:tracking-{SECRET}@127.0.0.1:1/x"}}
source: {{path: "in/${{CASE}}", where: "day = '${{DAY}}' AND name <> '${{secret:WORD}}'", format: parquet}}
target: {{path: "out/${{CASE}}", format: delta}}
score:
  params: {{api_key: params-{SECRET}}}
  model_config: {{password: config-{SECRET}}}
  extra_env: {{HF_TOKEN: "${{TOKEN}}"}}
spark:
  conf:
    spark.hadoop.fs.azure.account.key.me.dfs.core.windows.net: account-{SECRET}
    spark.hadoop.javax.jdo.option.ConnectionURL: "jdbc:sqlserver://h;user=me;password=jdbc-{SECRET}"
    spark.hadoop.fs.azure.sas.box.me.blob.core.windows.net: "?sv=2024&sp=r&sig=sas-{SECRET}"
"""
VARIABLES = {"DAY": "2026-11-29", "WORD": f"word-{SECRET}", "TOKEN": f"env-{SECRET}"}
CASES = ("well", "raise", "keys")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives away all it knows, a source for each case, and a job file."""
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "indiscreet.py").write_text(MODEL)
    (folder / "job.yaml").write_text(JOB)
    rows = pd.DataFrame({"name": ["an example"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            folder / "model",
            python_model=str(folder / "indiscreet.py"),
            signature=infer_signature(rows, pd.DataFrame({"p": [1.0]}), {"api_key": ""}),
            input_example=None,
            model_config={"password": ""},
            pip_requirements=["pandas"],
        )
    for case in CASES:
        # Longer than what Delta's statistics hold.
        table = pa.table({"day": ["2026-11-29"] * 2, "name": [f"{case} {ROW} {number:030}" for number in range(2)]})
        (folder / "in" / case / f"part={ROW}").mkdir(parents=True)
        pq.write_table(table, folder / "in" / case / f"part={ROW}" / "a.parquet")
    return folder


def run_command(place: Path, case: str, engine: str = "local") -> tuple[str, str]:
    """Run a job as a process; return what it printed, and what `ps` showed of all processes meanwhile."""
    words = [sys.executable, "-m", "spark_infer.cli.main", "run", "job.yaml", "--json"]
    words += ["--set", f"engine={engine}", "--set", f"target.path=out/{engine}-{case}"]
    environ = {**os.environ, **VARIABLES, "CASE": case, "XDG_STATE_HOME": str(place / f"state-{engine}-{case}")}
    process = subprocess.Popen(
        words, cwd=place, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            lines.update(_command_lines())

    watcher = threading.Thread(target=watch)
    watcher.start()
    printed, _ = process.communicate()
    over.set()
    watcher.join()
    return printed, "\n".join(lines)


def _command_lines() -> Iterator[str]:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            yield Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue


def left_behind(place: Path, case: str) -> Iterator[tuple[str, str]]:
    """What commands left beside the rows themselves: the ledger, and Delta's log without the files that it lists."""
    for path in (place / "out").rglob("*"):
        if path.is_file() and path.suffix != ".parquet" and case in str(path):
            lines = path.read_text("utf-8", "replace").splitlines()
            if "_delta_log" in path.parts:
                lines = [line for line in lines if "add" not in json.loads(line)]
            yield str(path), "\n".join(lines)


def leaks(texts: dict[str, str], *words: str) -> dict[str, str]:
    return {where: word for where, text in texts.items() for word in words if word in text}


WORKERS = {"local": "spark_infer.runtime.fork_server_process", "spark": "pyspark.daemon"}


@pytest.mark.parametrize("engine", ["local", pytest.param("spark", marks=pytest.mark.soak)])
def test_a_run_shows_no_secret_and_no_value_of_a_row(place: Path, engine: str) -> None:
    printed, command_lines = run_command(place, "well", engine)
    left = dict(left_behind(place, f"{engine}-well"))
    (log,) = (place / f"state-{engine}-well").rglob("*.log")
    assert json.loads(printed)["rows_scored"] == 2, printed
    assert {"plan.json", "report.json", "00000000000000000000.json"} <= {Path(path).name for path in left}
    assert WORKERS[engine] in command_lines
    assert leaks({"screen": printed, "ps": command_lines, **left}, SECRET, ROW) == {}
    # What the model prints, by whatever way, is in the log, which its owner alone can read.
    assert log.read_text().count(ROW) >= 8
    if engine == "local":  # Spark writes what its workers print as it comes
        assert leaks({"log": log.read_text()}, SECRET) == {}
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    # What is no secret is shown as it is.
    assert "day = '2026-11-29'" in printed
    assert "${secret:WORD}" in printed


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["local", "spark"])
def test_a_run_that_fails_shows_no_secret_and_no_value_of_a_row(place: Path, engine: str) -> None:
    printed, command_lines = run_command(place, "raise", engine)
    left = dict(left_behind(place, f"{engine}-raise"))
    assert "error" in json.loads(printed)
    assert any(path.endswith("plan.json") for path in left)
    shown = {path: text for path, text in left.items() if not Path(path).name.startswith("tasks.")}
    assert leaks({"screen": printed, "ps": command_lines, **shown}, SECRET, ROW) == {}
    logs = {str(path): path.read_text() for path in (place / f"state-{engine}-raise").rglob("*.log")}
    assert leaks({**left, **(logs if engine == "local" else {})}, SECRET) == {}


def test_a_repository_with_a_password_is_refused_without_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for name, value in {**VARIABLES, "CASE": "well"}.items():
        monkeypatch.setenv(name, value)
    setting = f"spark.conf={{spark.jars.repositories: 'https://me:{SECRET}@127.0.0.1/maven'}}"
    job = ScoringJob.from_yaml("job.yaml", [setting, "engine=spark"])
    with pytest.raises(SparkInferError, match=r"spark\.jars\.repositories") as refused:
        job.session()
    assert SECRET not in "".join(traceback.format_exception(refused.value)) + repr(job.config)


@pytest.mark.parametrize("case", ["raise", "keys"])
@pytest.mark.usefixtures("in_this_process")
def test_a_plan_and_an_error_show_no_secret_and_no_value_of_a_row(
    place: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(place)
    for name, value in {**VARIABLES, "CASE": case}.items():
        monkeypatch.setenv(name, value)
    job = ScoringJob.from_yaml("job.yaml")
    plan = job.plan()
    with pytest.raises(RunError) as failed:
        job.run()
    state = "".join(map(str, history(job.config, LocalTables())))
    shown = {"config": repr(job.config), "plan": str(plan), "facts": json.dumps(plan.to_dict()), "status": state}
    assert "unfinished" in state
    assert leaks({**shown, "error": str(failed.value), "pickled": str(pickle.dumps(failed.value))}, SECRET, ROW) == {}
    left = dict(left_behind(place, case))
    assert leaks(left, SECRET) == {}
    # The tasks of an unfinished run name the folders of table partitions: for the owner of the ledger alone.
    for path in leaks(left, ROW):
        assert Path(path).name.startswith("tasks.")
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


@pytest.mark.parametrize("key", ["source.path", "target.path"])
def test_credentials_in_the_uri_of_a_table_are_refused_and_shown_nowhere(
    place: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(place)
    for name, value in {**VARIABLES, "CASE": "uri"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="the URI holds credentials") as refused:
        ScoringJob.from_yaml("job.yaml", [f"{key}=s3://KEY:{SECRET}@bucket/t"])
    assert SECRET not in "".join(traceback.format_exception(refused.value))
