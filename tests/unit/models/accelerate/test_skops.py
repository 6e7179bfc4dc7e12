"""What skops saved is read without importing all of scikit-learn, and nothing more is trusted than skops trusts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skops.io._trusted_types import SKLEARN_ESTIMATOR_TYPE_NAMES

from spark_infer.models.accelerate.skops import is_listed, load_skops


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    rows = np.arange(20.0).reshape(10, 2)
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(rows, rows[:, 0] * 2)
    skops.io.dump(model, tmp_path / "model.skops")
    return tmp_path / "model.skops"


def all_subclasses(of: type) -> set[type]:
    children: list[type] = type.__subclasses__(of)
    return {each for child in children for each in (child, *all_subclasses(child))}


def test_no_more_types_count_as_scikit_learns_than_scikit_learn_lists() -> None:
    known = {f"{each.__module__}.{each.__name__}" for each in all_subclasses(BaseEstimator)}
    assert len(known) > len(SKLEARN_ESTIMATOR_TYPE_NAMES) > 150
    assert {name for name in known if is_listed(name)} == set(SKLEARN_ESTIMATOR_TYPE_NAMES)


@pytest.mark.parametrize(
    "name", ["os.system", "sklearn.os.system", "sklearn.nothing.Here", "sklearn.base.BaseEstimator"]
)
def test_other_names_are_not_listed(name: str) -> None:
    assert not is_listed(name)


def run(program: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_loading_imports_neither_torch_nor_pytest_and_refuses_a_type_that_skops_does_not_trust(
    saved: Path, tmp_path: Path
) -> None:
    skops.io.dump(make_pipeline(FunctionTransformer(np.linalg.norm)), tmp_path / "untrusted.skops")
    program = (
        "import sys; from pathlib import Path; from spark_infer.models.accelerate.skops import load_skops\n"
        "model = load_skops(Path(sys.argv[1]), [], accelerate=True)\n"
        "print(round(float(model.predict([[4.0, 5.0]])[0]), 6))\n"
        "print([name for name in ('torch', 'pytest', 'skops') if name in sys.modules])\n"
        "try: load_skops(Path(sys.argv[2]), None, accelerate=True)\n"
        "except Exception as error: print(type(error).__name__)\n"
        "from tests.light_skops import import_skops; import_skops()\n"  # who uses skops later has its whole list
        "import skops.io; print(len(skops.io.load(sys.argv[1])))\n"
    )
    seen = run(program, str(saved), str(tmp_path / "untrusted.skops")).splitlines()
    assert seen == ["8.0", "[]", "UntrustedTypesFoundException", "2"]
    with pytest.raises(Exception, match="Untrusted types"):
        load_skops(tmp_path / "untrusted.skops", None, accelerate=True)


def test_skops_reports_what_is_not_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes(b"nothing")
    with pytest.raises(Exception, match="zip"):
        load_skops(tmp_path / "model.skops", None, accelerate=True)
