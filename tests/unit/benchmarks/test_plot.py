"""The bar chart: real SVG, bars on the right side of 1."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.plot import FASTER, LABELS, SLOWER, VALUES, WIDTH, Axis, Bar, axis_for, plot

SVG = "{http://www.w3.org/2000/svg}"


def _bar(label: str, ratio: float) -> Bar:
    return Bar(label=label, ratio=ratio, low=ratio * 0.9, high=ratio * 1.1)


def test_equal_ratios_lie_equally_far_apart() -> None:
    axis = Axis(low=0.1, high=10)
    assert (axis.x(0.1), axis.x(10)) == pytest.approx((LABELS, WIDTH - VALUES))
    assert axis.x(1) - axis.x(0.1) == pytest.approx(axis.x(10) - axis.x(1))


def test_what_is_off_the_axis_lies_at_its_end() -> None:
    axis = Axis(low=0.5, high=2)
    assert (axis.x(0.01), axis.x(99)) == (axis.x(0.5), axis.x(2))


def test_the_axis_holds_every_ratio_and_one() -> None:
    assert axis_for([3.0, 15.0]) == Axis(low=1, high=20)
    assert axis_for([0.85]) == Axis(low=0.5, high=1)
    assert axis_for([]) == Axis(low=0.5, high=2)


def test_a_slower_engine_is_drawn_to_the_right_of_one_and_a_faster_one_to_the_left() -> None:
    root = ElementTree.fromstring(plot({"W1": [_bar("slow", 4.0), _bar("fast", 0.5)]}, base="ours"))
    one = axis_for([4.0, 0.5]).x(1)
    slow, fast = (rect for rect in root.iter(f"{SVG}rect") if rect.get("fill") in (FASTER, SLOWER))
    assert [slow.get("fill"), fast.get("fill")] == [FASTER, SLOWER]
    assert float(slow.get("x", "nan")) == pytest.approx(one, abs=0.1)
    end = float(fast.get("x", "nan")) + float(fast.get("width", "nan"))
    assert end == pytest.approx(one, abs=0.2)


def test_names_with_marks_of_xml_are_shown_as_they_are() -> None:
    root = ElementTree.fromstring(plot({"a < b & c": [_bar("<i>", 2.0)]}, base="ours"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "a < b & c" in texts
    assert "<i>" in texts


def test_no_results_give_an_empty_plot() -> None:
    ElementTree.fromstring(plot({}, base=""))
