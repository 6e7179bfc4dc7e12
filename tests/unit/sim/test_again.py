"""Lives of runs that score quarantined rows again: each row ends in one table, and is never in neither."""

from __future__ import annotations

import pytest

from tests.unit.sim.again import AgainWorld
from tests.unit.sim.lives import live_all

LIVES = [
    pytest.param(range(25), id="25 lives"),
    pytest.param(range(25, 1100), id="1075 lives", marks=pytest.mark.soak),
]


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("seeds", LIVES)
def test_whatever_happens_a_row_moves_from_one_table_to_the_other(kind: str, seeds: range) -> None:
    live_all(kind, "append", seeds, AgainWorld)
