"""Each extra in a clean environment of each Python: a job without it, the command that the error names, and the job."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.install.cases import CASES, MODELS, Case, answers_of, compare, make_models, run, write_job
from tests.install.environment import Environment, environment

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def models(python: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All models, saved by MLflow in an environment with the extra `all`."""
    folder = tmp_path_factory.mktemp("models")
    with environment(python, "all") as complete:
        complete.install(f"{wheel}[all]")
        make_models(complete, folder, MODELS)
        doctor = complete.run(folder, "spark-infer", "doctor")
        assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    return folder


@pytest.mark.parametrize("case", CASES, ids=[case.extra for case in CASES])
def test_a_job_names_the_extra_that_it_lacks_and_runs_with_it(
    case: Case, python: str, wheel: Path, models: Path, tmp_path: Path
) -> None:
    if case.extra == "scan" and python == "3.10":
        pytest.skip("picklescan has no version for Python 3.10, and the extra `all` leaves it out there")
    answers = write_job(case, models, tmp_path)
    with environment(python, case.extra) as clean:
        clean.install(f"{wheel}[{case.beside}]" if case.beside else str(wheel))
        install_what_is_named(clean, case.extra, run(clean, tmp_path, *case.command))
        compare(answers_of(clean, case, tmp_path), answers)


def test_spark_connect_needs_its_extra(python: str, wheel: Path, tmp_path: Path) -> None:
    case = Case("connect", more={"engine": "spark", "spark": {"remote": "sc://localhost:1"}})
    answers = write_job(case, tmp_path, tmp_path)
    with environment(python, "connect") as clean:
        clean.install(f"{wheel}[spark]")
        install_what_is_named(clean, "connect", run(clean, tmp_path, *case.command))
        compare(answers_of(clean, replace(case, command=("python", "remote.py")), tmp_path), answers)


def test_the_demo_names_its_extra_and_runs_with_it(python: str, wheel: Path, tmp_path: Path) -> None:
    with environment(python, "demo") as clean:
        clean.install(str(wheel))
        install_what_is_named(clean, "demo", run(clean, tmp_path, "spark-infer", "demo"))
        done = run(clean, tmp_path, "spark-infer", "demo")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "84,292 rows scored" in done.stdout


def install_what_is_named(clean: Environment, extra: str, refused: subprocess.CompletedProcess[str]) -> None:
    """Run the command of an error that names an extra."""
    assert refused.returncode in (1, 2, 3), refused.stdout + refused.stderr
    (command,) = set(re.findall(r"pip install ((?:'[^']+' ?)+)", refused.stderr))
    assert f"[{extra}]" in command
    clean.install(*shlex.split(command))
