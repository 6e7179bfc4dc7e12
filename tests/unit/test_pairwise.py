"""A round without the soak holds each pair of values, and the soak the other combinations."""

from __future__ import annotations

import itertools

from tests.pairwise import pairwise


def test_a_round_holds_each_pair_of_values_and_the_soak_what_is_left() -> None:
    values = ["abcd", "xy", "12"]
    found = pairwise(*values)
    assert [each.values for each in found] == list(itertools.product(*values))
    each_round = [each.values for each in found if not each.marks]
    assert len(each_round) == len(found) / 2
    for one, other in itertools.combinations(range(3), 2):
        pairs = {(row[one], row[other]) for row in each_round}
        assert pairs == set(itertools.product(values[one], values[other]))


def test_of_two_parameters_a_round_holds_each_value() -> None:
    each_round = [each.values for each in pairwise("abc", "xy") if not each.marks]
    assert each_round == [("a", "x"), ("b", "y"), ("c", "x")]
