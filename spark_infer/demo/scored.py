"""Read the scored flights back: a few of them, and how often the model was right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_infer.demo.train import LATE_MINUTES, OUTPUT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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


def measure(scored: DataFrame) -> Accuracy:
    """Compare the predictions with what happened."""
    late = f"(arr_delay > {LATE_MINUTES})"
    row = (
        scored.where("arr_delay is not null")
        .selectExpr("count(*)", f"avg(int({late} = ({OUTPUT} = 1)))", f"avg(int({late}))")
        .collect()[0]
    )
    return Accuracy(int(row[0]), float(row[1]), float(row[2]))


def some_rows(scored: DataFrame, count: int = 5) -> list[tuple[Any, ...]]:
    """Return a few rows from all over the table, the same ones every time."""
    shuffled = scored.selectExpr(*SHOWN, "xxhash64(flight_id) as place").orderBy("place").limit(count)
    return [tuple(row) for row in shuffled.select(*SHOWN).collect()]
