"""Read the scored flights back: a few of them, and how often the model was right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spark_infer.demo.train import LATE_MINUTES, OUTPUT

_SPREADS = 2_654_435_761
"""Knuth's multiplicative hash: numbers that follow each other land far apart."""

SHOWN = ("flight_id", "month", "day", "carrier", "origin", "dest", "dep_delay", "arr_delay", OUTPUT)


@dataclass(frozen=True)
class Accuracy:
    """How often the model was right on flights that it had not seen.

    Attributes:
        rows: Flights whose arrival is known; a flight that never arrived is neither late nor on time.
        share_right: Share of them whose prediction came true.
        share_late: Share of them that was late.
    """

    rows: int
    share_right: float
    share_late: float

    @property
    def share_right_by_guessing(self) -> float:
        """What one gets by giving every flight the more frequent answer; a model has to beat this."""
        return max(self.share_late, 1 - self.share_late)


def read_scored(path: str) -> pa.Table:
    """Read a Delta table whole."""
    from deltalake import DeltaTable

    return DeltaTable(path).to_pyarrow_table()


def measure(scored: pa.Table) -> Accuracy:
    """Compare the predictions with what happened."""
    known = scored.filter(pc.is_valid(scored["arr_delay"]))
    late, said = pc.greater(known["arr_delay"], LATE_MINUTES), pc.equal(known[OUTPUT], 1)
    return Accuracy(known.num_rows, pc.mean(pc.equal(late, said)).as_py(), pc.mean(late).as_py())


def some_rows(scored: pa.Table, count: int = 5) -> list[tuple[Any, ...]]:
    """Return a few rows from all over the table, the same ones every time."""
    ids = scored["flight_id"].to_numpy()
    place = ids * _SPREADS % 2**32
    rows = scored.select(SHOWN).take(place.argsort()[:count])
    return [tuple(row.values()) for row in rows.to_pylist()]
