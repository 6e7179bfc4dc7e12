"""Units of a run: groups of scan tasks that are published together, and the text that keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from spark_infer.config import UnitOptions
from spark_infer.tables.delta.deletion_vector import DeletionVector
from spark_infer.tables.ledger.signed import damaged, facts_in, leads_outside, signed
from spark_infer.tables.paths import stays_inside
from spark_infer.tables.scan.cut import TASKS_FOR_EACH_SLOT
from spark_infer.tables.scan.task import Piece, ScanTask

BYTES_FOR_EACH_SECOND = 8 * 2**20
"""What a slot is taken to read, score and write in a second, in bytes of Parquet, before anything was measured."""


class Way(str, Enum):
    """Who scores and writes the units of a run; its plan keeps it, since nobody else can go on with them."""

    WORKERS = "workers"
    """Workers write files of scan tasks."""
    SPARK = "spark"
    """Spark scores and writes all rows in one action."""
    SPARK_BY_TASKS = "spark by scan tasks"
    """Spark writes what workers have read, one unit after the other, and publishes them at the end."""
    SPARK_BY_PARTITIONS = "spark by table partitions"
    """Spark reads some table partitions and writes their rows, one unit after the other."""

    @property
    def stages_units(self) -> bool:
        """Whether Spark writes one unit after the other."""
        return self in (Way.SPARK_BY_TASKS, Way.SPARK_BY_PARTITIONS)


@dataclass(frozen=True)
class Unit:
    """Scan tasks that are sealed together.

    Attributes:
        ordinal: Its place among the units of its run, from 0.
        tasks: Its tasks; their numbers are unique in the run.
    """

    ordinal: int
    tasks: tuple[ScanTask, ...]

    @property
    def rows(self) -> int | None:
        """Rows to read; None where a file does not tell."""
        counts = [piece.rows for task in self.tasks for piece in task.pieces]
        return None if None in counts else sum(filter(None, counts))

    @property
    def partitions(self) -> Iterator[Mapping[str, str | None]]:
        """The values of the table partitions of its files, as they are written."""
        return (piece.values for task in self.tasks for piece in task.pieces)


WHOLE = (Unit(0, ()),)
"""The units of a run that Spark scores, which knows of no scan tasks, or that has no row to read."""


def cut_units(
    tasks: Sequence[ScanTask], slots: int, options: UnitOptions, *, tasks_for_each_slot: int = TASKS_FOR_EACH_SLOT
) -> tuple[Unit, ...]:
    """Group tasks, in their order, into units of about equal weight.

    A unit is as large as `options.bytes` says; without it, as large as the slots are taken to do in `options.seconds`,
    and no smaller than what fills every slot several times.

    Args:
        tasks: The tasks of the run.
        slots: How many tasks run at once.
        options: What the job wants.
        tasks_for_each_slot: How many tasks of a unit each slot gets at least; 0 where several slots share a task.
    """
    most = options.bytes or options.seconds * max(1, slots) * BYTES_FOR_EACH_SECOND
    least = 1 if options.bytes else max(1, slots * tasks_for_each_slot)
    return tuple(Unit(ordinal, tuple(group)) for ordinal, group in enumerate(_groups(tasks, most, least)))


def _groups(tasks: Sequence[ScanTask], most: float, least: int) -> Iterator[list[ScanTask]]:
    held: list[ScanTask] = []
    weight = 0
    for number, task in enumerate(tasks):
        # The last tasks are not left alone in a unit that would not fill the slots.
        if held and weight + task.weight > most and len(held) >= least and len(tasks) - number >= least:
            yield held
            held, weight = [], 0
        held.append(task)
        weight += task.weight
    if held:
        yield held


def to_json(units: Sequence[Unit]) -> bytes:
    """Write units as JSON: what every piece is, without what is the same for most."""
    return signed([[[_slim(piece) for piece in task.pieces] for task in unit.tasks] for unit in units])


def from_json(text: bytes, where: str) -> tuple[Unit, ...]:
    """Read units from JSON.

    Raises:
        LedgerError: The text is not what `to_json` writes, or names a file outside the source.
    """
    try:
        units, number = [], 0
        for ordinal, groups in enumerate(facts_in(text, where)):
            tasks = [ScanTask(number + at, tuple(map(_piece, pieces))) for at, pieces in enumerate(groups)]
            units.append(Unit(ordinal, tuple(tasks)))
            number += len(tasks)
        if not all(_is_in_source(piece) for unit in units for task in unit.tasks for piece in task.pieces):
            raise leads_outside(where)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(where) from error
    return tuple(units)


def _is_in_source(piece: Piece) -> bool:
    """Whether a piece and its deletion vector lie in the source's folder; a source that is one file has no path."""
    vector = piece.vector.path if piece.vector is not None else ""
    return all(path == "" or stays_inside(path) for path in (piece.path, vector))


def _slim(piece: Piece) -> dict[str, object]:
    facts = {name: value for name, value in vars(piece).items() if value not in (None, {})}
    return facts if piece.vector is None else {**facts, "vector": vars(piece.vector)}


def _piece(facts: dict[str, object]) -> Piece:
    groups, vector, picked = (facts.pop(name, None) for name in ("groups", "vector", "picked"))
    return Piece(
        **facts,  # type: ignore[arg-type]
        groups=None if groups is None else tuple(groups),  # type: ignore[arg-type]
        vector=None if vector is None else DeletionVector(**vector),  # type: ignore[arg-type]
        picked=None if picked is None else tuple(picked),  # type: ignore[arg-type]
    )
