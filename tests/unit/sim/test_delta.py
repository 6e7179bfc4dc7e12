"""Lives of runs into Delta tables: kills, power cuts, lost replies, refused writes, many drivers."""

from __future__ import annotations

import pytest

from tests.unit.sim.command import NEW_ROWS
from tests.unit.sim.lives import LIVES, live_all
from tests.unit.sim.world import MODES


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seeds", LIVES)
def test_whatever_happens_each_row_is_there_once(mode: str, seeds: range) -> None:
    live_all("delta", mode, seeds)


@pytest.mark.parametrize("seeds", LIVES)
def test_whatever_happens_the_bookmark_moves_with_the_rows(seeds: range) -> None:
    live_all("delta", NEW_ROWS, seeds)
