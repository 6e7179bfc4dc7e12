"""Check that all engines answer the same, then run them round after round."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.answers import difference, read_answers
from benchmarks.cost import Cost, measure
from benchmarks.fleet import TOLERANCES, WRITES_NOTHING, Fleet
from benchmarks.hosts.host import EngineError
from benchmarks.ratios import order_of_round
from benchmarks.workload import Workload

# Between runs the JVM finishes compiling what it found hot, at the cost of none of them.
PAUSE_SECONDS = 0.5
LEAST_ROUNDS = 3
# Spark ends Python workers that had nothing to do for a minute, and the next job would start them again.
IDLE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One engine in one round, on a table of `rows` rows; `place` is its place in that round's order."""

    engine: str
    round: int
    place: int
    cost: Cost
    rows: int = 0


@dataclass
class Checked:
    """What the check before the timing found.

    Attributes:
        costs: What each engine's first job cost; it loads the model and is not counted.
        left_out: The engines that failed or answered otherwise, each with the reason.
    """

    costs: dict[str, Cost] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def check_answers(engines: Sequence[str], fleet: Fleet, workload: Workload, target: Path, *, reference: str) -> Checked:
    """Run every engine once and compare what it wrote with what the reference wrote.

    Raises:
        EngineError: The reference itself failed.
    """
    checked = Checked()
    run_once(reference, fleet, workload, target)
    expected = read_answers(target, workload)
    for engine in engines:
        try:
            checked.costs[engine] = run_once(engine, fleet, workload, target)
            wrong = _wrong(engine, workload, target, expected)
        except EngineError as error:
            wrong = str(error)
        if wrong:
            print(f"{workload.name}  {engine} is left out: {_last_line(wrong)}", flush=True)
            checked.left_out[engine] = wrong
    return checked


def _wrong(engine: str, workload: Workload, target: Path, expected: pa.Table) -> str | None:
    if engine in WRITES_NOTHING:
        return None
    tolerance = max(workload.tolerance, TOLERANCES.get(engine, 0.0))
    found = difference(read_answers(target, workload), expected, tolerance=tolerance)
    return found and f"it answers otherwise than the limit: {found}"


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def rounds_for(seconds: float, *, rounds: int, budget: float | None) -> int:
    """Return how many rounds an engine takes part in: all, or as many as fit its budget, and at least three."""
    if budget is None:
        return rounds
    return min(rounds, max(LEAST_ROUNDS, int(budget / max(seconds, 1e-9))))


def run_rounds(
    engines: Mapping[str, int],
    fleet: Fleet,
    workloads: Sequence[Workload],
    target: Path,
    *,
    rounds: int,
    label: str,
    left_out: dict[str, str],
) -> list[Run]:
    """Run every engine on every table once a round, in an order that changes from round to round.

    Args:
        engines: Each engine, and how many rounds it takes part in; a slow one leaves early.
        fleet: Where they live.
        workloads: The same workload with tables of different sizes.
        target: Where engines write; emptied before each run.
        rounds: How many.
        label: Stands before each line that is printed.
        left_out: Gets the engines that fail on their way, each with the reason; none of their runs is returned.
    """
    runs: list[Run] = []
    for number in range(rounds):
        for place, engine in enumerate(order_of_round(list(engines), number)):
            if number >= engines[engine] or engine in left_out:
                continue
            try:
                runs += _run_sizes(engine, fleet, workloads, target, number=number, place=place, label=label)
            except EngineError as error:
                print(f"{label} {number + 1}  {engine} is left out: {_last_line(str(error))}", flush=True)
                left_out[engine] = str(error)
    return [run for run in runs if run.engine not in left_out]


def _run_sizes(
    engine: str, fleet: Fleet, workloads: Sequence[Workload], target: Path, *, number: int, place: int, label: str
) -> list[Run]:
    _wake(engine, fleet, workloads[0], target)
    runs = []
    for workload in workloads:
        cost = run_once(engine, fleet, workload, target)
        told = f"{workload.rows:>9,} rows {cost.seconds:8.2f} s {cost.cpu_seconds:8.2f} CPU s"
        print(f"{label} {number + 1}  {engine:<28} {told}", flush=True)
        runs.append(Run(engine=engine, round=number, place=place, cost=cost, rows=workload.rows))
    return runs


def _wake(engine: str, fleet: Fleet, workload: Workload, target: Path) -> None:
    """Run a job that is not counted where the engine had nothing to do for long: slow rivals must not cool it down.

    Engines of one host may have workers of their own, or share some but keep their own models there.
    """
    if fleet.host_of(engine).idle_seconds(engine) > IDLE_SECONDS:
        run_once(engine, fleet, workload, target)


def run_once(engine: str, fleet: Fleet, workload: Workload, target: Path) -> Cost:
    """Run one engine into an empty place, and count what it left there.

    Raises:
        EngineError: It failed, or rows are missing.
    """
    host = fleet.host_of(engine)
    shutil.rmtree(target, ignore_errors=True)
    time.sleep(PAUSE_SECONDS)
    cost = measure(lambda: host.run(engine, workload, target), host.pid)
    if engine not in WRITES_NOTHING:
        written = sum(pq.read_metadata(file).num_rows for file in target.rglob("*.parquet"))
        if written != workload.rows:
            raise EngineError(f"it wrote {written:,} rows of {workload.rows:,}")
    return cost
