"""Checks of which none needs another are refused in one error."""

from __future__ import annotations

import pytest

from spark_infer.errors import EnvironmentProblem, PlanError, SourceError, TargetError, Together


def test_what_several_checks_refuse_is_one_error_also_where_a_check_has_checks_of_its_own() -> None:
    def inner() -> None:
        together = Together()
        with together.check():
            raise TargetError("b is wrong.", next_step="correct it.")
        with together.check():
            raise TargetError("c is wrong.", next_step="correct it.")
        together.refuse()

    together = Together()
    with together.check():
        raise SourceError("a is wrong.", details=["it is 1"], next_step="change it.")
    with together.check():
        inner()
    with pytest.raises(PlanError) as caught:
        together.refuse()
    assert str(caught.value).splitlines() == [
        "3 things do not fit.",
        "  a is wrong.",
        "    it is 1",
        "  b is wrong.",
        "  c is wrong.",
        "Next: change it. correct it.",
    ]
    with pytest.raises(TargetError, match=r"2 things do not fit\."):
        inner()


def test_one_refusal_is_raised_as_it_is_and_none_is_no_error() -> None:
    together = Together()
    together.refuse()
    with together.check():
        raise SourceError("a is wrong.")
    with pytest.raises(SourceError, match=r"^a is wrong\.$"):
        together.refuse()


def test_a_problem_of_the_machine_is_raised_at_once() -> None:
    with pytest.raises(EnvironmentProblem), Together().check():
        raise EnvironmentProblem("no Java")
