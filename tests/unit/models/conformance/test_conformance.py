"""Every backend against `mlflow.pyfunc.load_model(...).predict`, on real models."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests import generated
from tests.unit.models.conformance import cases
from tests.unit.models.conformance.answers import Answers, ask
from tests.unit.models.conformance.case import Case
from tests.unit.models.conformance.same import differences

pytestmark = pytest.mark.filterwarnings("ignore")

CASES: dict[str, Case] = {
    f"{module.name}: {case.name}": case
    for module in pkgutil.iter_modules(cases.__path__)
    for case in importlib.import_module(f"{cases.__name__}.{module.name}").CASES
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Answers]:
    """Trains a case's model once and asks both sides."""
    return cache(lambda name: ask(CASES[name], tmp_path_factory.mktemp("case")))


@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_its_pyfunc_does(name: str, answers: Callable[[str], Answers]) -> None:
    case, found = CASES[name], answers(name)
    assert found.choice.backend == case.backend, found.choice.reason
    assert case.because in found.choice.reason
    assert found.scored.column_names == list(found.expected)
    assert found.declared is None or found.scored.schema == found.declared
    for column, wanted in found.expected.items():
        assert differences(found.scored.column(column).to_pylist(), wanted, case.rtol, case.atol) == []


def test_the_comparison_finds_what_differs() -> None:
    values = [1.0, float("nan"), None, [1, 2], {"a": "x"}]
    assert differences(values, list(values), 0) == []
    assert differences([1.0], [1.0 + 1e-6], 1e-5) == []
    assert differences([1.0], [1.0 + 1e-6], 1e-7) == ["row 0"]
    assert differences([[1e-9]], [[0.0]], 1e-7, 1e-8) == []
    assert differences([[1e-9]], [[0.0]], 1e-7, 1e-10) == ["row 0"]
    assert differences([1, None], [1], 0) == ["2 rows, not 1"]
    wrong = [float("nan"), 1, "True", [1, 1], {"b": 1}]
    assert differences([None, "1", True, [1], {"a": 1}], wrong, 1.0) == [f"row {row}" for row in range(5)]


def _bound(case: Case) -> str:
    return f"{case.rtol:g}" + (f", or {case.atol:g} absolute" if case.atol else "")


def test_the_table_in_the_docs_is_that_of_this_suite(answers: Callable[[str], Answers]) -> None:
    rows = []
    for name, case in CASES.items():
        flavor, _, model = name.partition(": ")
        found = answers(name)
        why = found.choice.reason if found.choice.backend == "pyfunc" else found.how
        rows.append((f"`{flavor}`", model, f"`{found.choice.backend}`", why, _bound(case)))
    heads = ("flavor", "model", "served by", "how batches reach it, or why pyfunc serves", "difference")
    generated.check(Path("docs/flavors.md"), "conformance", generated.table(heads, rows))
