"""What the package accepts and the page says equals the columns of `make test-matrix`."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.version import Version

from tests import matrix

METADATA = (matrix.ROOT / "pyproject.toml").read_text()
PINNED = {
    column: {
        requirement.name: next(iter(requirement.specifier)).version
        for line in (matrix.PINS / f"{column}.txt").read_text().splitlines()
        if not line.startswith("#")
        for requirement in [Requirement(line.partition(" #")[0])]
    }
    for column in matrix.columns()
}


def least(name: str) -> Version:
    """The lower bound of a package in pyproject.toml, to its minor version."""
    (found,) = set(re.findall(rf'"{name}>=(\d+\.\d+)', METADATA))
    return Version(found)


def minors(name: str) -> set[Version]:
    """The minor versions of a package that the columns have."""
    return {Version(".".join(pins[name].split(".")[:2])) for pins in PINNED.values()}


def test_the_oldest_spark_and_mlflow_that_are_accepted_are_those_of_a_column() -> None:
    assert min(minors("pyspark")) == least("pyspark")
    assert min(minors("delta-spark")) == least("delta-spark")
    assert min(minors("mlflow")) == least("mlflow")


def test_each_python_that_the_package_names_is_that_of_a_column() -> None:
    named = set(re.findall(r'"Programming Language :: Python :: (3\.\d+)"', METADATA))
    assert {matrix.python_of(column) for column in PINNED} == named


def test_a_column_is_pinned_as_its_file_asks_for() -> None:
    for column, pins in PINNED.items():
        lines = (matrix.PINS / f"{column}.in").read_text().splitlines()
        for line in (line for line in lines if not line.startswith("#")):
            requirement = Requirement(line.partition(" #")[0])
            assert requirement.specifier.contains(pins[requirement.name]), f"{column}: {line}"


def test_the_page_has_the_versions_that_were_run() -> None:
    rows = matrix.table()
    assert [*rows] == matrix.columns()
    for column, row in rows.items():
        shown = {name: version for name, version in row.items() if name != "python"}
        if row["python"] == matrix.NOT_RUN:
            continue
        assert row["python"].startswith(f"{matrix.python_of(column)}."), column
        assert shown == {name: PINNED[column][name] for name in matrix.SHOWN}, column
