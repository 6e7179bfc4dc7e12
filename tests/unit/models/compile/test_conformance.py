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


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Trains a case's model once, compiles it and compares it; returns a sentence."""
    return cache(lambda name: compiled(COMPILABLE[name], tmp_path_factory.mktemp("case")))


def compiled(case: Case, folder: Path) -> str:
    rows: pd.DataFrame = case.save(folder / "model")
    batch = batch_of(rows)
    held = scoring_of(
        folder / "model",
        batch.schema,
        folder / "store",
        result_schema=case.returns,
        params=dict(case.params),
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


@pytest.mark.parametrize("name", COMPILABLE)
def test_it_answers_as_its_pyfunc_does_or_is_refused(name: str, outcome: Callable[[str], str]) -> None:
    # The comparison is in the fixture; which are refused, and why, is held to the docs below.
    assert outcome(name).startswith(("compiled", "refused"))


def test_the_table_in_the_docs_is_that_of_these_models(outcome: Callable[[str], str]) -> None:
    rows = [(f"`{name.partition(': ')[0]}`", name.partition(": ")[2], outcome(name)) for name in COMPILABLE]
    generated.check(
        Path("docs/compiled.md"), "compiled", generated.table(("flavor", "model", "compiled to ONNX"), rows)
    )
