"""The lowest versions that `pyproject.toml` accepts, of all it names at once, on the oldest Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.install.cases import CASES, Case, answers_of, compare, make_models, write_job
from tests.install.environment import PYTHONS, Environment, environment

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

EXTRAS = (
    "audio",
    "catboost",
    "compile",
    "images",
    "lightgbm",
    "llvm",
    "local",
    "mlflow",
    "onnx",
    "python",
    "sklearn",
    "xgboost",
)
"""Those without Spark, whose versions have a test of their own, and without PyTorch."""
MODELS = ("sklearn", "xgboost", "lightgbm", "catboost", "onnx", "registered")


@pytest.fixture(scope="module")
def lowest(wheel: Path) -> Iterator[Environment]:
    with environment(PYTHONS[0], "lowest") as clean:
        extras = [argument for extra in EXTRAS for argument in ("--extra", extra)]
        clean.install("--resolution", "lowest-direct", "--requirements", "pyproject.toml", *extras)
        clean.install("--no-deps", str(wheel))
        yield clean


@pytest.fixture(scope="module")
def models(lowest: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_models(lowest, folder, MODELS)
    return folder


LOW = [case for case in CASES if case.extra in EXTRAS]


@pytest.mark.parametrize("case", LOW, ids=[case.extra for case in LOW])
def test_a_job_runs_with_the_lowest_versions(case: Case, lowest: Environment, models: Path, tmp_path: Path) -> None:
    answers = write_job(case, models, tmp_path)
    compare(answers_of(lowest, case, tmp_path), answers)
