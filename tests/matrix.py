"""Run the tests marked `matrix` with each combination of versions, and write what passed into docs/versions.md.

    python -m tests.matrix [--short] [COLUMN ...]

A column is a file `requirements/matrix/COLUMN.in`, pinned by `make requirements`; its environment is
`build/matrix/COLUMN`. The page changes only where a whole column passes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
PINS = ROOT / "requirements" / "matrix"
PAGE = ROOT / "docs" / "versions.md"
NOT_RUN = "not run"
SHOWN = ("pyspark", "delta-spark", "mlflow", "pandas", "numpy", "pyarrow", "scikit-learn", "xgboost", "lightgbm")
_VERSIONS = (
    "import json, platform, sys; from importlib.metadata import version; "
    "print(json.dumps([platform.python_version(), *map(version, sys.argv[1:])]))"
)


@dataclass(frozen=True)
class Result:
    """What a column was made of and how its tests ended."""

    column: str
    versions: tuple[str, ...]
    passed: int
    failed: int
    skipped: int
    seconds: float

    @property
    def row(self) -> str:
        """Its line of the table."""
        cells = [self.column, *self.versions, f"{self.passed} passed"]
        return f"| {' | '.join(cells)} |"


def columns() -> list[str]:
    """Name all columns, the oldest Spark first."""
    return sorted(path.stem for path in PINS.glob("*.in"))


def python_of(column: str) -> str:
    """The version of Python that a column runs."""
    found = re.search(r"^# Python (3\.\d+)$", (PINS / f"{column}.in").read_text(), re.MULTILINE)
    assert found is not None, column
    return found[1]


def run(column: str, marker: str) -> Result:
    """Make the environment of a column, unless it is there, and run the tests in it."""
    place = Path("build", "matrix", column)
    # Shims of pyenv run a Python that is not the default one only where this names it.
    environ = {**os.environ, "PYTHON": f"python{python_of(column)}", "PYENV_VERSION": python_of(column)}
    (ROOT / place).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["sh", "requirements/install.sh", f"matrix/{column}", str(place)], cwd=ROOT, env=environ, check=True)
    python, found = str(ROOT / place / "bin" / "python"), ROOT / f"{place}.xml"
    found.unlink(missing_ok=True)
    begun = time.monotonic()
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-m",
        marker,
        f"--junitxml={found}",
        "-p",
        "no:cacheprovider",
        "--durations",
        "15",
    ]
    command += ["--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    subprocess.run([*command, *_files()], cwd=ROOT, check=False)
    seconds = time.monotonic() - begun
    asked = subprocess.run([python, "-c", _VERSIONS, *SHOWN], capture_output=True, text=True, check=True)
    suite = ElementTree.parse(found).getroot()[0].attrib if found.is_file() else {"errors": "1"}
    tests, failures, errors, skipped = (int(suite.get(each, 0)) for each in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors
    passed = max(tests - failed - skipped, 0)  # a file that cannot be imported is an error and no test
    return Result(column, tuple(json.loads(asked.stdout)), passed, failed, skipped, seconds)


def _files() -> list[str]:
    """The files with marked tests: others may import what a column does not have."""
    tests = (ROOT / "tests").rglob("test_*.py")
    return sorted(path.relative_to(ROOT).as_posix() for path in tests if "mark.matrix" in path.read_text())


def write(results: list[Result]) -> None:
    """Replace the lines of some columns in the table of the page."""
    lines = PAGE.read_text().splitlines()
    for result in results:
        (at,) = (number for number, line in enumerate(lines) if line.startswith(f"| {result.column} |"))
        lines[at] = result.row
    PAGE.write_text("\n".join(lines) + "\n")


def table() -> dict[str, dict[str, str]]:
    """The versions of each column as the page has them, by package."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines() if "|" in line
    ]
    return {row[0]: dict(zip(("python", *SHOWN), row[1:], strict=False)) for row in rows[2:]}


def main() -> int:
    """Run the columns that are asked for, and return 1 where one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("columns", nargs="*", metavar="COLUMN", help=f"of {', '.join(columns())}; all without it")
    parser.add_argument("--short", action="store_true", help="only the tests that are not slow; writes no page")
    asked = parser.parse_args()
    if unknown := set(asked.columns) - set(columns()):
        parser.error(f"no column: {', '.join(sorted(unknown))}. Columns: {', '.join(columns())}")
    marker = "matrix and not soak and not slow" if asked.short else "matrix and not soak"
    results = [run(column, marker) for column in asked.columns or columns()]
    for result in results:
        versions = " ".join(map(" ".join, zip(("python", *SHOWN), result.versions, strict=True)))
        counts = f"{result.passed} passed, {result.failed} failed, {result.skipped} skipped in {result.seconds:.0f} s"
        sys.stdout.write(f"{result.column}: {counts}; {versions}\n")
    passed = [result for result in results if result.passed and not result.failed]
    if not asked.short:
        write(passed)
    return 0 if len(passed) == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
