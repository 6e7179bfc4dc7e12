"""A fault comes at its point, at its time, once, and in tests alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_infer.errors import EnvironmentProblem
from spark_infer.runtime.failpoints import Failpoints, InjectedError

TESTING = {"SPARK_INFER_TESTING": "1"}


def test_a_fault_comes_at_its_point_the_second_time_and_no_other() -> None:
    points = Failpoints("seal:2:raise", TESTING)
    points.reach("seal")
    points.reach("publish")
    with pytest.raises(InjectedError, match="seal"):
        points.reach("seal")
    points.reach("seal")


def test_of_several_processes_the_first_one_breaks(tmp_path: Path) -> None:
    fault = f"task:1:enospc:{tmp_path / 'done'}"
    with pytest.raises(OSError, match="No space left"):
        Failpoints(fault, TESTING).reach("task")
    Failpoints(fault, TESTING).reach("task")


def test_a_fault_outside_a_test_is_refused_and_without_one_nothing_breaks() -> None:
    with pytest.raises(EnvironmentProblem, match="breaks runs on purpose"):
        Failpoints("seal:1:raise", {})
    Failpoints("", {}).reach("")
