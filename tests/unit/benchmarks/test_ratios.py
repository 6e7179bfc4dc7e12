"""The statistics of the benchmarks: order of the rounds, ratios, spread."""

from __future__ import annotations

import pytest

from benchmarks.ratios import order_of_round, paired_ratios, spread

ENGINES = ["a", "b", "c", "d"]


def test_a_pair_of_rounds_goes_there_and_back() -> None:
    assert [order_of_round(ENGINES, number) for number in range(4)] == [
        ["a", "b", "c", "d"],
        ["d", "c", "b", "a"],
        ["b", "c", "d", "a"],
        ["a", "d", "c", "b"],
    ]


def test_every_engine_has_the_same_mean_place_over_a_pair_of_rounds() -> None:
    for first in (0, 2, 10):
        there, back = order_of_round(ENGINES, first), order_of_round(ENGINES, first + 1)
        assert {there.index(name) + back.index(name) for name in ENGINES} == {3}


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was half as fast in the second round: the ratio does not notice.
    assert paired_ratios({0: 3.0, 1: 6.0}, {0: 1.0, 1: 2.0}) == [3.0, 3.0]


def test_rounds_that_only_one_engine_took_part_in_give_no_ratio() -> None:
    assert paired_ratios({2: 8.0, 1: 6.0}, {0: 1.0, 1: 2.0, 2: 4.0}) == [3.0, 2.0]


def test_engines_that_never_met_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="no round in common"):
        paired_ratios({0: 1.0}, {1: 1.0})


def test_spread_reports_median_and_range() -> None:
    one = spread([5.0, 1.0, 2.0])
    assert (one.median, one.smallest, one.largest) == (2.0, 1.0, 5.0)


def test_interval_of_equal_values_has_no_width() -> None:
    one = spread([2.0] * 7)
    assert (one.low, one.high) == (2.0, 2.0)


def test_interval_of_two_values_is_their_range() -> None:
    # A draw of two is (1, 1), (3, 3) or mixed with probability 1/4, 1/4, 1/2: 5 % and 95 % lie in the outer quarters.
    one = spread([1.0, 3.0])
    assert (one.low, one.high) == (1.0, 3.0)


def test_one_outlier_moves_neither_median_nor_interval() -> None:
    # More than half of nine draws hit one outlier of nine with probability 0.0007, far below 5 %.
    one = spread([2.0] * 8 + [100.0])
    assert (one.median, one.low, one.high, one.largest) == (2.0, 2.0, 2.0, 100.0)


def test_the_same_values_give_the_same_interval() -> None:
    values = [1.1, 0.9, 1.4, 1.0, 1.2]
    assert spread(values) == spread(values)
