"""Measure one workload from beginning to end: make it, check the answers, run the rounds, run cold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import facts
from benchmarks.fleet import LIMIT, Fleet, open_fleet, place_of
from benchmarks.hosts.host import EngineError
from benchmarks.memory import peak_bytes
from benchmarks.report import Cold, Line, noisy_runs, summarise
from benchmarks.rounds import Checked, Run, check_answers, rounds_for, run_once, run_rounds
from benchmarks.targets import Outcome, outcomes
from benchmarks.workload import Workload
from benchmarks.workloads.catalog import FULL_SIZE_FROM, SPECS, make_workload


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to measure.

    Attributes:
        cores: Tasks at once, of one thread each.
        engines: Which ones, the base first.
        rows: Rows of the table; None takes the workload's own, times `scale`.
        scale: Share of the workload's rows; below a tenth the model is a small one too.
        small_share: The second size, as a share of the first; 0 runs one size only.
        rounds: Timed rounds.
        warm_ups: Rounds that are kept but not counted, after the check.
        budget_seconds: About as long as one engine may take in all rounds, three of which it gets anyway; None sets no
            bound.
        cold: Whether to run each engine once in a fresh host.
        conf: Settings of the Spark session.
        work: Folder for tables, models, logs and virtual environments.
        batch_rows: Rows of the other engines' predict calls; None takes the workload's own.
    """

    cores: int
    engines: tuple[str, ...]
    rows: int | None
    scale: float
    small_share: float
    rounds: int
    warm_ups: int
    budget_seconds: float | None
    cold: bool
    conf: Mapping[str, str]
    work: Path
    batch_rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything about one workload: raw timings first, then what was derived from them."""

    name: str
    title: str
    started_at: datetime
    facts: Mapping[str, int | str]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, str | int | float]
    warm_up: Sequence[Run]
    runs: Sequence[Run]
    left_out: Mapping[str, str]
    lines: Sequence[Line]
    outcomes: Sequence[Outcome]
    noisy: int

    def record(self) -> dict[str, Any]:
        """Return what is kept as JSON."""
        return {
            "workload": dict(self.facts) | {"title": self.title},
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            "machine": dict(self.machine),
            "warm_up": [asdict(run) for run in self.warm_up],
            "runs": [asdict(run) for run in self.runs],
            "left_out": dict(self.left_out),
            "noisy": self.noisy,
            "summary": [asdict(line) for line in self.lines],
            "outcomes": [asdict(outcome) | {"is_met": outcome.is_met} for outcome in self.outcomes],
        }


def measure_workload(name: str, settings: Settings) -> Measured:
    """Measure one workload.

    Raises:
        SystemExit: The limit or the base engine failed or answered otherwise: nothing can be compared.
    """
    started_at, machine = datetime.now(timezone.utc), facts.machine()
    sizes = _make(name, settings)
    target, large = settings.work / "scored", sizes[-1]
    with open_fleet(large, cores=settings.cores, work=settings.work, conf=settings.conf) as fleet:
        checked = _check(settings, fleet, large, target)
        lost = checked.left_out
        warm_up, runs = _time(settings, fleet, sizes, target, checked)
        versions = facts.versions() | fleet.versions()
    base = settings.engines[0]
    if base in lost:
        raise SystemExit(f"{name}: {base} failed while it was timed: {lost[base]}")
    timed = dict.fromkeys(run.engine for run in runs)
    cold = _all_cold(list(timed), settings, large, target) if settings.cold else {}
    return Measured(
        name=name,
        title=SPECS[name].title,
        started_at=started_at,
        facts=large.facts(),
        settings=_described(settings, large),
        versions=versions,
        machine=machine,
        warm_up=warm_up,
        runs=runs,
        left_out=lost,
        lines=summarise(runs, rows=large.rows, base=base, cold=cold),
        outcomes=outcomes(name, runs, large.rows),
        noisy=len(noisy_runs(runs, cores=settings.cores)),
    )


def check_workload(name: str, settings: Settings) -> dict[str, str]:
    """Run every engine once and compare their answers; return those that failed or differ, each with the reason."""
    workload = _make(name, settings)[-1]
    with open_fleet(workload, cores=settings.cores, work=settings.work, conf=settings.conf) as fleet:
        checked = _check(settings, fleet, workload, settings.work / "scored")
    alike = [engine for engine in settings.engines if engine not in checked.left_out]
    print(f"{name} answers alike: {', '.join(alike)}", flush=True)
    return checked.left_out


def _time(
    settings: Settings, fleet: Fleet, sizes: Sequence[Workload], target: Path, checked: Checked
) -> tuple[list[Run], list[Run]]:
    """Run the warm-up rounds and the rounds that count."""
    name, base, lost = sizes[-1].name, settings.engines[0], checked.left_out
    taking_part = [engine for engine in checked.costs if engine not in lost]
    warm_up = run_rounds(
        dict.fromkeys(taking_part, settings.warm_ups),
        fleet,
        sizes,
        target,
        rounds=settings.warm_ups,
        label=f"{name} warm-up",
        left_out=lost,
    )
    # The check's job loads the model: what it cost says little of the next.
    last = [run for run in warm_up if run.round == settings.warm_ups - 1]
    spent = {engine: checked.costs[engine].seconds * len(sizes) for engine in taking_part}
    for engine in dict.fromkeys(run.engine for run in last):
        spent[engine] = sum(run.cost.seconds for run in last if run.engine == engine)
    engines = {
        engine: rounds_for(seconds, rounds=settings.rounds, budget=None if engine == base else settings.budget_seconds)
        for engine, seconds in spent.items()
    }
    runs = run_rounds(engines, fleet, sizes, target, rounds=settings.rounds, label=f"{name} round", left_out=lost)
    return warm_up, runs


def _make(name: str, settings: Settings) -> list[Workload]:
    """Make the workload with its table of each size, the largest last."""
    spec = SPECS[name]
    rows = settings.rows or max(4 * spec.files, round(spec.rows * settings.scale))
    shares = [settings.small_share, 1.0] if settings.small_share else [1.0]
    full_size = settings.scale >= FULL_SIZE_FROM
    how: Any = {"full_size": full_size, "batch_rows": settings.batch_rows}
    return [make_workload(name, settings.work, round(rows * share), **how) for share in shares]


def _check(settings: Settings, fleet: Fleet, workload: Workload, target: Path) -> Checked:
    base = settings.engines[0]
    try:
        checked = check_answers(settings.engines, fleet, workload, target, reference=LIMIT)
    except EngineError as error:
        raise SystemExit(f"{workload.name}: {LIMIT} failed, so there is nothing to compare with: {error}") from None
    if base in checked.left_out:
        raise SystemExit(f"{workload.name}: nothing was timed, because {base} failed: {checked.left_out[base]}")
    return checked


def _all_cold(engines: Sequence[str], settings: Settings, workload: Workload, target: Path) -> dict[str, Cold]:
    """Run each engine once in a host of its own; one that fails there has no entry."""
    found = {}
    for engine in engines:
        try:
            found[engine] = _cold(engine, settings, workload, target)
        except EngineError as error:
            print(f"{workload.name} cold  {engine} failed: {error}", flush=True)
    return found


def _cold(engine: str, settings: Settings, workload: Workload, target: Path) -> Cold:
    """Run one engine once in a host of its own, as a job that starts from nothing."""
    costs = []
    with open_fleet(workload, cores=settings.cores, work=settings.work, conf=settings.conf) as fleet:
        host = fleet.host_of(engine)
        peak = peak_bytes(host.pid, lambda: costs.append(run_once(engine, fleet, workload, target)))
        ready = host.start_seconds
    (cost,) = costs
    print(f"{workload.name} cold  {engine:<28} {cost.seconds:8.2f} s {peak / 2**20:8,.0f} MiB", flush=True)
    return Cold(host_seconds=ready, first_job_seconds=cost.seconds, peak_bytes=peak)


def _described(settings: Settings, workload: Workload) -> dict[str, Any]:
    """Return the settings as a report keeps them; folders say nothing."""
    told = asdict(replace(settings, work=Path()))
    del told["work"], told["engines"]
    hosts = {engine: place_of(engine).module for engine in settings.engines}
    spark = dict(workload.spark_conf) | dict(settings.conf)
    return told | {"threads_each": 1, "batch_rows": workload.batch_rows, "spark": spark, "hosts": hosts}
