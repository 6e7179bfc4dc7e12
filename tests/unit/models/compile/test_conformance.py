"""The models of the conformance suite, compiled: each answers as its pyfunc does, or is refused for the reason told."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from spark_infer.errors import ModelRefusedError
from tests import generated
from tests.unit.models.compile.scoring import batch_of, scoring_of
from tests.unit.models.conformance.answers import reference
from tests.unit.models.conformance.case import Case
from tests.unit.models.conformance.test_conformance import CASES

pytestmark = pytest.mark.filterwarnings("ignore")

COMPILABLE = {
    name: case for name, case in CASES.items() if name.partition(":")[0] in ("lightgbm", "sklearn", "xgboost")
}


TREES = [name for name in COMPILABLE if name.startswith("lightgbm:")]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Trains a case's model, compiles it and compares it, once; returns a sentence."""
    return cache(lambda name, to: compiled(COMPILABLE[name], to, tmp_path_factory.mktemp("case")))


def compiled(case: Case, to: str, folder: Path) -> str:
    rows: pd.DataFrame = case.save(folder / "model")
    batch = batch_of(rows)
    held = scoring_of(
        folder / "model",
        batch.schema,
        folder / "store",
        result_schema=case.returns,
        params=dict(case.params),
        compile=to,
        **dict(case.options),
    )
    try:
        recipe = held.compiled(batch)
    except ModelRefusedError as error:
        told = error.what.removeprefix("The model cannot be compiled: ").rpartition("; this one is ")[2]
        return f"refused: {told.rstrip('.')}"
    assert recipe.parity is not None
    scored = held.scored(recipe, batch)
    expected, _ = reference(case, folder / "model", rows)
    for column, wanted in expected.items():
        assert alike(scored.column(column).to_pylist(), wanted), column
    return f"compiled, within {1e-12 if recipe.parity.found.numbers.size <= 1e-12 else 1e-5:g}"


def alike(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(alike, found, wanted))
    if isinstance(wanted, float) and isinstance(found, float):
        both_missing = math.isnan(wanted) and math.isnan(found)
        return both_missing or abs(found - wanted) <= 1e-5 * max(1.0, abs(wanted))
    return bool(found == wanted)


@pytest.mark.parametrize(
    ("name", "to"), [*((name, "onnx") for name in COMPILABLE), *((name, "llvm") for name in TREES)]
)
def test_it_answers_as_its_pyfunc_does_or_is_refused(name: str, to: str, outcome: Callable[[str, str], str]) -> None:
    # The comparison is in the fixture; which are refused, and why, is held to the docs below.
    assert outcome(name, to).startswith(("compiled", "refused"))


def test_the_table_in_the_docs_is_that_of_these_models(outcome: Callable[[str, str], str]) -> None:
    rows = [
        (
            f"`{name.partition(': ')[0]}`",
            name.partition(": ")[2],
            outcome(name, "onnx"),
            outcome(name, "llvm") if name in TREES else "",
        )
        for name in COMPILABLE
    ]
    header = ("flavor", "model", "compiled to ONNX", "compiled to LLVM")
    generated.check(Path("docs/compiled.md"), "compiled", generated.table(header, rows))
