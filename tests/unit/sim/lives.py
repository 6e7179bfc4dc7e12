"""Lives of worlds, one after the other."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.unit.sim.world import World

LIVES = [
    pytest.param(range(40), id="40 lives"),
    pytest.param(range(40, 1250), id="1210 lives", marks=pytest.mark.soak),
]
"""For each format and write mode, eight of them."""


def live(seed: int, kind: str, mode: str, made: type[World] = World) -> World:
    """Live through one, and say how it went where something is wrong."""
    world = made(seed, kind, mode)
    try:
        world.run()
    except AssertionError as error:
        story = "\n".join(world.trace[-100:])
        raise AssertionError(f"seed {seed}, {kind}, {mode}: {error}\n{story}") from error
    return world


def live_all(kind: str, mode: str, seeds: Iterable[int], made: type[World] = World) -> None:
    """Live through many."""
    for seed in seeds:
        live(seed, kind, mode, made)
