"""Lives of runs whose rows are new where the target lacks their keys: each key is there once."""

from __future__ import annotations

import pytest

from tests.unit.sim.by_key import MODES, KeyedWorld
from tests.unit.sim.lives import live_all

LIVES = [
    pytest.param(range(50), id="50 lives"),
    pytest.param(range(50, 1100), id="1050 lives", marks=pytest.mark.soak),
]


@pytest.mark.parametrize("kind", ["delta", "parquet"])
@pytest.mark.parametrize("seeds", LIVES)
def test_whatever_happens_each_key_is_there_once(kind: str, seeds: range) -> None:
    live_all(kind, MODES[kind], seeds, KeyedWorld)
