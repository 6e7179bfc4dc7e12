from __future__ import annotations

from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_progress import UnitProgress
from spark_infer.observe.progress import Progress
from spark_infer.tables.scan.task import Piece, ScanTask


def units(count: int, tasks: int) -> list[Unit]:
    """Units of some tasks each."""
    numbers = iter(range(count * tasks))
    return [
        Unit(ordinal, tuple(ScanTask(next(numbers), (Piece("f.parquet", 1),)) for _ in range(tasks)))
        for ordinal in range(count)
    ]


def counted(seen: list[Progress]) -> list[tuple[int, int]]:
    return [(progress.tasks_done, progress.units_done) for progress in seen]


def test_tasks_that_end_one_by_one_are_told_one_by_one() -> None:
    seen: list[Progress] = []
    told = UnitProgress(units(2, 2), 2, 100, seen.append)
    for end_of_unit in (False, True, False, True):
        told.task()
        if end_of_unit:
            told.unit()
    assert counted(seen) == [(1, 0), (2, 0), (2, 1), (3, 1), (4, 1), (4, 2)]
    assert (seen[-1].rows_done, seen[-1].tasks_total, seen[-1].units_total) == (100, 4, 2)


def test_units_that_were_done_before_count_as_units_and_not_as_rows_of_this_command() -> None:
    seen: list[Progress] = []
    UnitProgress(units(5, 1)[3:], 5, 40, seen.append).unit(1)
    assert (seen[0].tasks_done, seen[0].tasks_total, seen[0].rows_done) == (1, 2, 20)
    assert (seen[0].units_done, seen[0].units_total) == (4, 5)


def test_what_spark_says_a_moment_late_is_not_counted_twice_and_never_goes_back() -> None:
    seen: list[Progress] = []
    told = UnitProgress(units(3, 4), 3, None, seen.append)
    poll = told.running()
    assert poll is not None
    poll(3, 8, 1.0)  # two units run: eight tasks, of which three have ended
    poll(5, 8, 1.5)
    told.unit(4)  # one of them is scored; of the other, one task has ended
    poll(1, 4, 2.0)
    poll(4, 8, 2.5)
    told.unit(4)
    told.unit(4)
    assert [progress.tasks_done for progress in seen] == [3, 5, 5, 5, 8, 8, 12]
    assert seen[-1].units_done == 3


def test_no_more_tasks_are_told_than_there_are() -> None:
    seen: list[Progress] = []
    poll = UnitProgress(units(1, 4), 1, None, seen.append).running()
    assert poll is not None
    poll(9, 9, 1.0)  # another action of the same session
    assert (seen[0].tasks_done, seen[0].tasks_total) == (4, 4)


def test_nobody_is_told_where_nobody_asks() -> None:
    told = UnitProgress(units(1, 1), 1, None, None)
    assert told.running() is None
    told.task()
    told.unit()
