"""What a framework writes while a model loads and predicts stays off the user's screen, which says that it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.local.conftest import save_from_code


def test_the_screen_says_that_the_model_loads_and_shows_nothing_of_its_framework(source: Path, tmp_path: Path) -> None:
    model = save_from_code(tmp_path / "model", "noisy.py")
    job = tmp_path / "job.yaml"
    job.write_text(f"engine: local\nmodel: {model}\nsource: {source}\ntarget: {tmp_path}/out\n")
    command = [sys.executable, "-m", "spark_infer.cli.main", "run", str(job), "--log-file", str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "NOISE" not in done.stdout + done.stderr
    assert "1,000 rows scored" in done.stdout
    lines = done.stderr.splitlines()
    assert lines[:2] == ["checking model and tables", "loading the model"]
    assert lines[2].endswith("tasks, loading the model and scoring the first rows")
    log = (tmp_path / "log").read_text()
    assert {what for what in ("bar", "warning", "logger", "print") if f"NOISE load {what}" in log} == {
        "bar",
        "warning",
        "logger",
        "print",
    }
