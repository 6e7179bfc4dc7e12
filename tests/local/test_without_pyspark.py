"""Engine `local` where PySpark is not installed: the command line and the function, in this process and its workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from tests.local.jobs import read

# Not imported here: that would hide PySpark from the tests that follow.
WITHOUT_SPARK = Path(__file__).parents[1] / "without_spark.py"

PROGRAM = """
import importlib.util, sys
from spark_infer import score_table
from spark_infer.cli.main import app

kind, model, source, job, again = sys.argv[1:]
assert importlib.util.find_spec("pyspark") is None
for command in ("plan", "run", "status"):
    try:
        app([command, job])
    except SystemExit as ended:
        print(f"{command}: exit {ended.code}")
target = {"path": again, "format": kind, "scored_at_column": None}
print(score_table(source=source, target=target, model=model, engine="local", result_type="double").rows_scored)
"""


@pytest.mark.parametrize("kind", [pytest.param("parquet", marks=pytest.mark.soak), "delta"])
def test_a_job_is_planned_run_and_shown_where_pyspark_is_not_installed(line: str, tmp_path: Path, kind: str) -> None:
    rows = pa.table({"id": range(20), "x": [each / 4 for each in range(20)], "tags": [["a", None]] * 20})
    if kind == "delta":
        write_deltalake(tmp_path / "in", rows)
    else:
        (tmp_path / "in").mkdir()
        pq.write_table(rows, tmp_path / "in" / "f.parquet")
    # Python imports it when it starts, in the workers too.
    (tmp_path / "sitecustomize.py").write_bytes(WITHOUT_SPARK.read_bytes())
    job = tmp_path / "job.yaml"
    job.write_text(
        f"engine: local\nmodel: {line}\nsource: {tmp_path}/in\ntarget: {{path: {tmp_path}/out, format: {kind}}}\n"
    )
    command = [sys.executable, "-c", PROGRAM, kind, line, f"{tmp_path}/in", str(job), f"{tmp_path}/again"]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [text for text in done.stdout.splitlines() if ": exit" in text] == [
        "plan: exit 0",
        "run: exit 0",
        "status: exit 0",
    ], done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "20"
    assert [row["prediction"] for row in read(tmp_path / "out")] == pytest.approx([each / 2 for each in range(20)])
    assert [row["tags"] for row in read(tmp_path / "again")] == [["a", None]] * 20
