"""How often an engine runs."""

from __future__ import annotations

from benchmarks.rounds import rounds_for


def test_a_fast_engine_takes_part_in_all_rounds() -> None:
    assert rounds_for(2.0, rounds=7, budget=90.0) == 7


def test_a_slow_engine_takes_part_in_as_many_as_fit_its_budget() -> None:
    assert rounds_for(18.0, rounds=7, budget=90.0) == 5


def test_even_the_slowest_takes_part_in_three() -> None:
    assert rounds_for(500.0, rounds=7, budget=90.0) == 3


def test_without_a_budget_everyone_takes_part_in_all_rounds() -> None:
    assert rounds_for(500.0, rounds=7, budget=None) == 7


def test_nobody_takes_part_in_more_rounds_than_there_are() -> None:
    assert rounds_for(500.0, rounds=1, budget=90.0) == 1
