"""The targets, and whether a measurement meets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.fleet import DAFT, LIMIT, OURS, RAY, SPARK_UDF
from benchmarks.ratios import Spread, paired_ratios, spread
from benchmarks.rounds import Run

RIVALS = {"mlflow spark_udf": (SPARK_UDF,), "best of Ray Data and Daft": (*RAY, *DAFT), "limit": (LIMIT,)}
"""What ours is compared with; of several engines the one with the smallest median counts."""

TARGETS: dict[str, tuple[float, float, float]] = {
    "W1": (10.0, 5.0, 0.85),
    "W2": (1.3, 1.3, 0.95),
    "W3": (3.0, 2.0, 0.8),
    "W4": (2.0, 1.5, 0.9),
    "W5": (3.0, 1.5, 0.7),
    "W6": (10.0, 2.0, 0.85),
    "W8": (1.5, 1.0, 0.9),
    "W9": (10.0, 1.5, 0.9),
    "W11": (1.5, 1.0, 0.9),
}
"""For each workload, how many times as fast as each of `RIVALS` ours shall be."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One target and what was measured.

    Attributes:
        rival: A key of `RIVALS`.
        engine: The engine that stood for it, or None where none of them was timed.
        target: Its seconds by ours shall be at least this; None where nothing was promised.
        ratio: Its seconds by ours, taken within each round.
    """

    rival: str
    engine: str | None
    target: float | None
    ratio: Spread | None

    @property
    def is_met(self) -> bool:
        """Whether the median reaches the target."""
        return self.ratio is not None and self.target is not None and self.ratio.median >= self.target


def outcomes(name: str, runs: Sequence[Run], rows: int, *, ours: str = OURS) -> list[Outcome]:
    """Compare ours, or another engine, with each rival, on the runs with so many rows."""
    seconds: dict[str, dict[int, float]] = {}
    for run in runs:
        if run.rows == rows:
            seconds.setdefault(run.engine, {})[run.round] = run.cost.seconds
    targets = TARGETS.get(name, (None, None, None))
    return [
        _outcome(rival, engines, target, seconds, ours)
        for (rival, engines), target in zip(RIVALS.items(), targets, strict=True)
    ]


def _outcome(
    rival: str, engines: Sequence[str], target: float | None, seconds: Mapping[str, Mapping[int, float]], ours: str
) -> Outcome:
    timed = [engine for engine in engines if engine in seconds]
    if not timed or ours not in seconds:
        return Outcome(rival=rival, engine=None, target=target, ratio=None)
    best = min(timed, key=lambda engine: spread(list(seconds[engine].values())).median)
    ratio = spread(paired_ratios(seconds[best], seconds[ours]))
    return Outcome(rival=rival, engine=best, target=target, ratio=ratio)
