"""The package without any extra: what it costs to install, and what it can do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import spark_infer
from tests.install.cases import Case, answers_of, compare, run, write_job
from tests.install.environment import environment, seconds_to_install

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


def test_the_base_install_fetches_less_than_80_mb_and_takes_less_than_20_seconds(
    python: str, wheel: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version", python]
    subprocess.run([*pip, "--dest", str(tmp_path), str(wheel)], check=True, capture_output=True)
    megabytes = sum(file.stat().st_size for file in tmp_path.iterdir()) / 1e6
    seconds = seconds_to_install(python, wheel)
    assert megabytes < 80
    assert seconds < 20
    record_property(f"Python {python}", f"{megabytes:.1f} MB fetched, {seconds:.1f} s")


def test_the_base_install_scores_parquet_with_a_python_function(python: str, wheel: Path, tmp_path: Path) -> None:
    case = Case("")
    answers = write_job(case, tmp_path, tmp_path)
    with environment(python, "base") as clean:
        clean.install(str(wheel))
        shown = run(clean, tmp_path, "python", "-c", "import spark_infer; print(spark_infer.__version__)")
        assert shown.stdout.strip() == spark_infer.__version__
        assert run(clean, tmp_path, "spark-infer", "doctor").returncode == 0
        assert "run" in run(clean, tmp_path, "spark-infer", "--help").stdout
        compare(answers_of(clean, case, tmp_path), answers)
