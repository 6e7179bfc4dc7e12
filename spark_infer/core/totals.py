"""What the tasks of a run told, added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COUNTS = ("rows", "predicted", "batches", "loads", "cache_hits", "fallbacks", "retries")
SECONDS = ("load", "wait_for_rows", "prepare", "predict", "encode", "write")


@dataclass(frozen=True, kw_only=True)
class TaskTotals:
    """Sums over the tasks of one action.

    They tell what work was done: a retried task counts twice. What was written is counted from the committed files.
    """

    rows: int
    predicted: int
    batches: int
    loads: int
    cache_hits: int
    fallbacks: int
    retries: int
    workers: int
    seconds: Mapping[str, float]

    @classmethod
    def of_tasks(cls, taken: Sequence[Mapping[str, Any]]) -> TaskTotals:
        """Add up what the tasks told (`core.stats.Stats.take`)."""
        counts = {name: sum(int(each.get(name) or 0) for each in taken) for name in COUNTS}
        seconds = {name: sum(float(each[name] or 0.0) for each in taken) for name in SECONDS}
        # A task without rows asked for no model.
        named = {each["worker"] for each in taken if each["batches"] and "worker" in each}
        workers = len(named) + sum(each.get("workers", 0) for each in taken)
        return cls(**counts, workers=workers, seconds=seconds)

    def as_task(self) -> dict[str, Any]:
        """Return the sums as what one task would have told; of the workers only how many."""
        counts = {name: getattr(self, name) for name in COUNTS}
        return {**counts, **{name: self.seconds.get(name, 0.0) for name in SECONDS}, "workers": self.workers}

    @classmethod
    def of_rows(cls, rows: int) -> TaskTotals:
        """Totals of which nothing but the rows is known."""
        return cls(
            rows=rows, predicted=rows, batches=0, loads=0, cache_hits=0, fallbacks=0, retries=0, workers=0, seconds={}
        )
