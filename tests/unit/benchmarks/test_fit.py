"""Start and cost of a row from two sizes; cost of a cell from several widths."""

from __future__ import annotations

import pytest

from benchmarks.fit import fit_columns, fit_sizes


def test_a_line_through_two_sizes_gives_start_and_cost_of_a_row() -> None:
    # T = 2 s + N x 500 ns, at 1 M and 4 M rows; the second round's machine is half as fast.
    fit = fit_sizes([2.5, 5.0], [4.0, 8.0], small_rows=1_000_000, large_rows=4_000_000)
    assert (fit.start_seconds.smallest, fit.start_seconds.largest) == pytest.approx((2.0, 4.0))
    assert (fit.nanoseconds_per_row.smallest, fit.nanoseconds_per_row.largest) == pytest.approx((500.0, 1000.0))


def test_noise_may_put_the_start_below_zero_and_is_not_hidden() -> None:
    fit = fit_sizes([0.2], [1.0], small_rows=1, large_rows=2)
    assert fit.start_seconds.median == pytest.approx(-0.6)


def test_one_size_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        fit_sizes([1.0], [1.0], small_rows=5, large_rows=5)


def test_rounds_that_lack_a_size_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        fit_sizes([1.0], [1.0, 2.0], small_rows=1, large_rows=2)


def test_widths_give_the_cost_of_a_row_and_of_a_cell() -> None:
    assert fit_columns({1: 105.0, 20: 200.0, 200: 1100.0}) == pytest.approx((100.0, 5.0))


def test_one_width_is_refused() -> None:
    with pytest.raises(ValueError, match="two widths"):
        fit_columns({1: 1.0})
