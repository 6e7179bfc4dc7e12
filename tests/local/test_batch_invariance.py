"""`doctor --batch-invariance` measures how much a job's predictions depend on the batches that its rows are in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from spark_infer.cli.main import app
from spark_infer.config.load import load_job
from spark_infer.job.batch_invariance import batch_invariance_of
from tests.local.conftest import save_from_code

pytestmark = pytest.mark.usefixtures("in_this_process")


def job_file(tmp_path: Path, model: str) -> Path:
    """A job that appends predictions of 200 rows: x is 0 for the first half and 1 for the second."""
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"id": np.arange(200), "x": np.repeat([0.0, 1.0], 100)}), tmp_path / "in" / "a.parquet")
    path = tmp_path / "job.yaml"
    path.write_text(f"model: {model}\nsource: {tmp_path}/in\ntarget: {tmp_path}/out\n")
    return path


def test_a_model_that_looks_at_each_row_by_itself_changes_nothing(line: str, tmp_path: Path) -> None:
    path = job_file(tmp_path, line)
    changes = batch_invariance_of(load_job(path))
    assert [(each.batches, each.rows, each.changed) for each in changes] == [
        ("one row at a time", 100, 0),
        ("batches of 7", 200, 0),
        ("batches of 100", 200, 0),
        ("the rows in reverse", 200, 0),
        ("the rows shuffled", 200, 0),
    ]
    assert not (tmp_path / "out").exists()


def test_a_model_that_looks_at_the_rows_beside_one_is_a_problem_with_exit_code_2(tmp_path: Path) -> None:
    path = job_file(tmp_path, save_from_code(tmp_path / "model", "sensitive.py"))
    by_name = {each.batches: each for each in batch_invariance_of(load_job(path))}
    # The mean of all rows is 0.5, and that of a row alone, or of a half, is the row itself.
    assert by_name["one row at a time"].worst.size == 0.5
    assert (by_name["batches of 100"].changed, by_name["batches of 100"].worst.size) == (200, 0.5)
    assert by_name["the rows in reverse"].changed == 0
    command = ["doctor", "--json", "--batch-invariance", str(path)]
    found = CliRunner().invoke(app, command)
    batches = [each for each in json.loads(found.stdout)["findings"] if each["name"] == "batches"]
    assert (found.exit_code, [each["status"] for each in batches]) == (2, ["problem"] * 3 + ["ok"] * 2)
    assert "200 of 200 rows change, by at most 0.5 in column 'prediction'" in batches[2]["found"]
    small = CliRunner().invoke(app, ["doctor", "--batch-invariance", str(path), "--set", "score.batch_size=7"])
    assert "predicting some rows in several batches" in small.stderr
    assert "batches of 100: " not in small.stdout
    tolerated = json.loads(CliRunner().invoke(app, [*command, "--tolerance", "0.5"]).stdout)["findings"]
    assert {each["status"] for each in tolerated if each["name"] == "batches"} == {"ok"}


def test_a_job_that_cannot_run_is_refused_as_by_plan(line: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["doctor", "--json", "--batch-invariance", str(tmp_path / "none.yaml")])
    (batches,) = (each for each in json.loads(found.stdout)["findings"] if each["name"] == "batches")
    assert (found.exit_code, batches["status"]) == (2, "problem")
    path = job_file(tmp_path, line)
    pq.write_table(pa.table({"id": [1], "x": [1.0]}).slice(1), tmp_path / "in" / "a.parquet")
    empty = CliRunner().invoke(app, ["doctor", "--batch-invariance", str(path)])
    assert "has no rows to predict" in empty.stdout
    assert not [each for each in empty.stdout.splitlines() if each.endswith("fix: ")]
    assert CliRunner().invoke(app, ["doctor", "--set", "engine=local"]).exit_code == 2
