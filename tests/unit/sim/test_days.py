"""Lives of two days of one job, at once and one after the other, into a table that may be new."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.sim.days import MODES, DaysWorld
from tests.unit.sim.lives import live_all

LIVES = [
    pytest.param(range(25), id="25 lives"),
    pytest.param(range(25, 1100), id="1075 lives", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("kind", "mode"), list(itertools.product(("delta", "parquet"), MODES)))
@pytest.mark.parametrize("seeds", LIVES)
def test_whatever_happens_to_one_day_both_are_there_once(kind: str, mode: str, seeds: range) -> None:
    live_all(kind, mode, seeds, DaysWorld)
