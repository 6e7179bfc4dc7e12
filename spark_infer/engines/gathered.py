"""Tasks come in one by one, in any order; a unit is scored when all of its tasks are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_run import Scored
from spark_infer.tables.sink.sink_spec import WrittenFile


class Gathered:
    """What the tasks of some units have answered so far.

    Args:
        units: The units.
        wanted: Whether a unit is still to be done; asked once, when its first task is about to begin.
    """

    def __init__(self, units: Sequence[Unit], wanted: Callable[[Unit], bool]) -> None:
        self._units = units
        self._wanted = wanted
        self._unit_of = {task.number: unit for unit in units for task in unit.tasks}
        self._begun: dict[int, tuple[bool, float]] = {}
        self._answers: dict[int, dict[int, tuple[Sequence[WrittenFile], Mapping[str, Any]]]] = {}
        self._lock = threading.Lock()

    @property
    def numbers(self) -> list[int]:
        """The tasks, in the units' order."""
        return list(self._unit_of)

    def empty(self) -> Iterator[Scored]:
        """The units without tasks, which are scored as they are."""
        return (Scored(unit=unit, files=(), stats=()) for unit in self._units if not unit.tasks)

    def is_wanted(self, number: int) -> bool:
        """Whether a task is to be done; from any thread."""
        unit = self._unit_of[number]
        with self._lock:
            if unit.ordinal not in self._begun:
                self._begun[unit.ordinal] = (self._wanted(unit), time.perf_counter())
            return self._begun[unit.ordinal][0]

    def add(self, number: int, files: Sequence[WrittenFile], stats: Mapping[str, Any]) -> Scored | None:
        """Take a task's answer; returns its unit when that is complete."""
        unit = self._unit_of[number]
        answers = self._answers.setdefault(unit.ordinal, {})
        answers[number] = (files, stats)
        if len(answers) < len(unit.tasks):
            return None
        del self._answers[unit.ordinal]
        return Scored(
            unit=unit,
            files=[file for task in unit.tasks for file in answers[task.number][0]],
            stats=[answers[task.number][1] for task in unit.tasks],
            seconds=time.perf_counter() - self._begun[unit.ordinal][1],
        )
