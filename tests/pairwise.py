"""Combinations of parameters of which each round runs every other one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def pairwise(*several: Iterable[Any]) -> list[Any]:
    """Return all combinations for `parametrize`; those that hold no new pair of values run in `make soak` alone.

    Of three parameters or more the others hold each pair of values that the combinations hold, where each parameter
    has two values or more; of two, each value.
    """
    values: list[Sequence[Any]] = [list(each) for each in several]
    places = itertools.product(*(range(len(each)) for each in values))
    return [
        pytest.param(
            *(each[place] for each, place in zip(values, found, strict=True)),
            marks=[pytest.mark.soak] if sum(found) % 2 else [],
        )
        for found in places
    ]
