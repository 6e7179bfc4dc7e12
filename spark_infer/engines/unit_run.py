"""A run in units, as an engine sees it: what its tasks write, and what it reports of a unit that is scored."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spark_infer.engines.unit import Unit
from spark_infer.tables.scan.task import ScanTask
from spark_infer.tables.sink.sink_spec import SinkSpec, WrittenFile
from spark_infer.tables.storage import Storage


@dataclass(frozen=True, kw_only=True)
class UnitRun:
    """A run that was begun, as an engine sees it.

    Attributes:
        spec: What its tasks write; None where Spark writes.
        tasks: All its tasks, by number.
        units: How many units it has.
    """

    spec: SinkSpec | None
    tasks: tuple[ScanTask, ...]
    units: int

    def sink(self, session: str) -> SinkSpec:
        """What the tasks of one command write; its name is part of the files' names."""
        if self.spec is None:
            raise ValueError("Spark writes")
        return self.spec.by(session)

    def rows(self, units: Sequence[Unit]) -> int | None:
        """Rows of some units, where that is known."""
        counts = [unit.rows for unit in units]
        return None if None in counts else sum(filter(None, counts))


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What an engine reports of a unit when all of its tasks are done."""

    unit: Unit
    files: Sequence[WrittenFile]
    stats: Sequence[Mapping[str, Any]]
    seconds: float = 0.0


class Score(Protocol):
    """Has an engine score units into a folder, and yields each when it is done, in any order."""

    def __call__(
        self, units: Sequence[Unit], folder: Storage, session: str, wanted: Callable[[Unit], bool]
    ) -> Generator[Scored]:
        """Score; ``wanted`` is asked before a unit begins, since another driver may have done it meanwhile."""
