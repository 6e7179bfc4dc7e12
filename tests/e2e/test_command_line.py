"""The commands as a user types them, in processes of their own, on a registry with versions and aliases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner, Result

from spark_infer.cli.main import app
from spark_infer.engines.local import units as local_units
from tests.database import new_database
from tests.here import tasks_here
from tests.light_skops import import_skops


@dataclass(frozen=True)
class Workplace:
    """A folder with a registry, a table and a job file."""

    folder: Path

    def __call__(self, *arguments: str, returns: int = 0) -> subprocess.CompletedProcess[str]:
        """Run spark-infer in the folder."""
        program = "from spark_infer.cli.main import app; app()"
        command = [sys.executable, "-c", program, *arguments]
        environ = {**os.environ, "XDG_STATE_HOME": str(self.folder / "state"), "COLUMNS": "200"}
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == returns, done.stdout + done.stderr
        return done

    def in_this_process(self, patch: pytest.MonkeyPatch, *arguments: str, returns: int = 0) -> Result:
        """Run spark-infer as above, in the process of the test: what a command imports takes seconds each time."""
        patch.chdir(self.folder)
        patch.setenv("XDG_STATE_HOME", str(self.folder / "state"))
        patch.setenv("COLUMNS", "200")
        patch.setattr(local_units, "do_tasks", tasks_here)
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == returns, done.output
        return done


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("work")
    rows = pd.DataFrame({"x": np.arange(1000.0), "n": np.arange(1000)})
    registry = new_database(folder / "mlflow.db")
    client = MlflowClient(tracking_uri=registry)
    client.create_registered_model("line")
    import_skops()
    for slope in (1.0, 2.0):
        model = LinearRegression().fit(rows, slope * rows.x)
        where = folder / f"line-{slope}"
        signature = infer_signature(rows, model.predict(rows))
        mlflow.sklearn.save_model(model, where, signature=signature, pip_requirements=["scikit-learn"])
        client.create_model_version("line", str(where))
    client.set_registered_model_alias("line", "champion", "1")
    pq.write_table(pa.table({"id": range(1000), "x": rows.x, "n": rows.n}), folder / "in.parquet")
    (folder / "table").mkdir()
    (folder / "in.parquet").rename(folder / "table" / "part-0.parquet")
    (folder / "job.yaml").write_text(
        "name: line\n"
        "model:\n  uri: models:/line@champion\n  tracking_uri: ${REGISTRY}\n"
        "source: table\n"
        "target:\n  path: out\n  format: delta\n  keep: [id]\n"
        "spark:\n  master: local[2]\n  conf:\n    spark.driver.memory: 1g\n"
    )
    os.environ["REGISTRY"] = registry
    return Workplace(folder)


@pytest.mark.soak
def test_a_command_whose_java_process_dies_while_it_plans_says_so_and_that_it_goes_on(work: Workplace) -> None:
    # The model is loaded on the driver while the job is planned.
    (work.folder / "killer.py").write_text(
        "import os, signal, subprocess\n"
        "import mlflow\n"
        "class Killer(mlflow.pyfunc.PythonModel):\n"
        "    def load_context(self, context):\n"
        "        found = subprocess.run(['pgrep', '-P', str(os.getpid()), 'java'], capture_output=True, text=True)\n"
        "        for pid in found.stdout.split():\n"
        "            os.kill(int(pid), signal.SIGKILL)\n"
        "    def predict(self, context, model_input):\n"
        "        return model_input['x']\n"
        "mlflow.models.set_model(Killer())\n"
    )
    rows = pd.DataFrame({"x": [1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow asks for type hints
        mlflow.pyfunc.save_model(
            work.folder / "killer",
            python_model=str(work.folder / "killer.py"),
            signature=infer_signature(rows, rows.x.rename("prediction")),
            pip_requirements=["pandas"],
        )
    done = work("plan", "job.yaml", "--set", "model.uri=killer", "--set", "target.path=killed", "--json", returns=3)
    told = json.loads(done.stderr.splitlines()[-1])
    assert (told["kind"], told["error"]) == ("refused", "EnvironmentProblem")
    assert told["what"] == "Spark was lost while the job was planned: its Java process ended."
    assert told["next_step"].startswith("run the same command again")


# Errors and names are the same with every engine, and without Spark they take a second each.
LOCAL = ["--set", "engine=local"]


def facts(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


@pytest.mark.matrix
def test_plan_then_run_then_refuse(work: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = work.in_this_process(monkeypatch, "plan", "job.yaml", *LOCAL)
    assert "line version 1 (models:/line@champion)" in planned.stdout
    assert not (work.folder / "out").exists()

    report = facts(work("run", "job.yaml", "--json"))
    assert (report["rows_read"], report["rows_scored"], report["model_version"]) == (1000, 1000, "1")
    rows = deltalake.DeltaTable(str(work.folder / "out")).to_pyarrow_table().to_pylist()
    assert sorted(round(row["prediction"] - row["id"], 6) for row in rows) == [0.0] * 1000

    assert "finished" in work.in_this_process(monkeypatch, "status", "job.yaml").stdout
    again = work.in_this_process(monkeypatch, "run", "job.yaml", "--new-run", *LOCAL, returns=2)
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr
    assert len(deltalake.DeltaTable(str(work.folder / "out")).history()) == 1


def test_an_alias_that_moves_is_a_new_version_and_nothing_else(
    work: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = ["--set", "target.path=second", *LOCAL]

    def versions_and_slopes() -> set[tuple[str, float]]:
        rows = deltalake.DeltaTable(str(work.folder / "second")).to_pyarrow_table().to_pylist()
        assert len(rows) == 1000
        return {(row["model_version"], round(row["prediction"] / row["id"], 6)) for row in rows if row["id"]}

    work.in_this_process(monkeypatch, "run", "job.yaml", *second, "--set", "target.mode=append")
    assert versions_and_slopes() == {("1", 1.0)}
    client = MlflowClient(tracking_uri=os.environ["REGISTRY"])
    client.set_registered_model_alias("line", "champion", "2")
    try:
        refused = work.in_this_process(
            monkeypatch, "run", "job.yaml", *second, "--set", "target.mode=append", returns=2
        ).stderr
        assert "This job has put 1,000 rows into the target before" in refused
        assert "model: line version 1 then, line version 2 now" in refused
        assert versions_and_slopes() == {("1", 1.0)}
        text = work.in_this_process(monkeypatch, "run", "job.yaml", *second, "--set", "target.mode=overwrite").stdout
    finally:
        client.set_registered_model_alias("line", "champion", "1")
    assert "line version 2 (models:/line@champion)" in text
    assert versions_and_slopes() == {("2", 2.0)}


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        (["engine=spark", "model.uri=models:/line@challenger"], 2, "champion"),
        (["engine=spark", "model.uri=models:/lime@champion"], 2, "line"),
        (["engine=spark", "model.uri=models:/line/9"], 2, "9"),
        (["engine=local", "model.tracking_uri=sqlite:////nowhere/mlflow.db"], 3, "nowhere"),
        (["target.mod=append"], 2, "mode"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    work: Workplace, settings: list[str], code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")  # Spark could not start, which would be code 3
    arguments = [part for setting in settings for part in ("--set", setting)]
    refused = work.in_this_process(monkeypatch, "plan", "job.yaml", *arguments, "--json", returns=code)
    error = json.loads(refused.stderr)
    assert error["exit_code"] == code
    assert message in " ".join([error["what"], *error["details"], error["next_step"]])
    assert refused.stdout == ""


def test_a_model_can_be_inspected(work: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    told = work.in_this_process(
        monkeypatch, "models", "inspect", "models:/line/2", "--tracking-uri", os.environ["REGISTRY"]
    ).stdout
    for word in ("line", "2", "sklearn", "double", "long"):
        assert word in told
