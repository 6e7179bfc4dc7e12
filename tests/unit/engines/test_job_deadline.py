from __future__ import annotations

from spark_infer.engines.job_deadline import Deadline


def test_the_first_unit_of_a_command_always_begins() -> None:
    late = Deadline(None, max_runtime=0.0)
    assert [late.begins() for _ in range(3)] == [True, False, False]


def test_units_begin_as_long_as_there_is_time() -> None:
    for deadline in (Deadline(None, max_runtime=3600.0), Deadline(0.0)):
        assert [deadline.begins() for _ in range(3)] == [True, True, True]
