"""A command keeps its deadline, also while it waits for somebody else."""

from __future__ import annotations

import time

import pytest

from spark_infer.engines.job_deadline import Deadline
from spark_infer.errors import DeadlineError


def test_the_first_unit_of_a_command_always_begins() -> None:
    late = Deadline(None, max_runtime=0.0)
    assert [late.begins() for _ in range(3)] == [True, False, False]


def test_units_begin_as_long_as_there_is_time() -> None:
    for deadline in (Deadline(None, max_runtime=3600.0), Deadline(0.0)):
        assert [deadline.begins() for _ in range(3)] == [True, True, True]


def test_a_wait_ends_with_the_deadline_and_the_next_one_is_an_error() -> None:
    deadline, begun = Deadline(0.05), time.monotonic()
    deadline.sleep(60)
    assert time.monotonic() - begun < 30
    with pytest.raises(DeadlineError, match=r"longer than 0\.05 seconds"):
        deadline.sleep(60)
    Deadline(None).sleep(0)
