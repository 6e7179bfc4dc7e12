"""Check that all engines answer the same, then run them round after round."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.cost import Cost, measure
from benchmarks.ratios import order_of_round

if TYPE_CHECKING:
    from benchmarks.bench import Bench

# Between runs the JVM finishes compiling what it found hot, at the cost of none of them.
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Engine:
    """One way to score; `writes` is false where it only predicts, and has no rows to compare."""

    run: Callable[[Bench, Path], None]
    writes: bool = True


@dataclass(frozen=True, kw_only=True)
class Run:
    """One engine in one round; `place` is its place in that round's order."""

    engine: str
    round: int
    place: int
    cost: Cost


def check_answers(engines: Mapping[str, Engine], bench: Bench, target: Path) -> None:
    """Raise SystemExit unless every engine writes the same predictions for the same ids."""
    expected: pa.Table | None = None
    for name, engine in engines.items():
        _measure(name, engine, bench, target)
        if not engine.writes:
            continue
        scored = pq.read_table(target, columns=["id", "prediction"]).sort_by("id").combine_chunks()
        if expected is None:
            expected = scored
        elif not scored.equals(expected):
            raise SystemExit(f"{name} gives other answers than {next(iter(engines))}: nothing was timed")


def run_rounds(engines: Mapping[str, Engine], bench: Bench, target: Path, *, rounds: int, label: str) -> list[Run]:
    """Run every engine once a round, in an order that changes from round to round."""
    runs = []
    for number in range(rounds):
        for place, name in enumerate(order_of_round(list(engines), number)):
            cost = _measure(name, engines[name], bench, target)
            print(f"{label} {number + 1}  {name:<20} {cost.seconds:7.2f} s {cost.cpu_seconds:7.2f} CPU s", flush=True)
            runs.append(Run(engine=name, round=number, place=place, cost=cost))
    return runs


def _measure(name: str, engine: Engine, bench: Bench, target: Path) -> Cost:
    """Run one engine into an empty place, and count what it left there."""
    shutil.rmtree(target, ignore_errors=True)
    time.sleep(PAUSE_SECONDS)
    cost = measure(lambda: engine.run(bench, target))
    if not engine.writes:
        return cost
    written = sum(pq.read_metadata(file).num_rows for file in target.glob("*.parquet"))
    if written != bench.workload.rows:
        raise SystemExit(f"{name} wrote {written:,} rows of {bench.workload.rows:,}")
    return cost
