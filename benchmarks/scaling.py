"""What a second core is worth: the same job on one core and on two, beside the model alone (L1) and the limit (L2).

    python -m benchmarks.scaling [--workload W1] [--rounds 5] [--work FOLDER]

The hosts of one core are bound to it, JVM and Python workers with them. A round runs every engine on both; the gains
are taken within a round. The target: ours gains at least 0.9 of what the model alone gains.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.environment import set_environment
from benchmarks.fleet import ALONE, LIMIT, OURS, Fleet, open_fleet
from benchmarks.options import WORK, silence_mlflow
from benchmarks.ratios import order_of_round, spread
from benchmarks.workload import Workload

ENGINES = (OURS, LIMIT, ALONE)
CORES = (1, 2)
TARGET = 0.9


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--workload", default="W1")
    parser.add_argument("--rows", type=int, help="default: the workload's own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), default=Path(WORK).resolve())
    options = parser.parse_args(arguments)
    set_environment(cores=max(CORES), work=options.work)
    silence_mlflow()
    # Imported here because it imports libraries that read the environment when they are imported.
    from benchmarks.workloads.catalog import SPECS, make_workload

    workload = make_workload(options.workload, options.work, options.rows or SPECS[options.workload].rows)
    runs = [f"{cores} {engine}" for engine in ENGINES for cores in CORES]
    found: dict[str, list[float]] = {run: [] for run in runs}
    with ExitStack() as stack:
        fleets = {
            cores: stack.enter_context(open_fleet(workload, cores=cores, work=options.work, conf={})) for cores in CORES
        }
        for number in range(-1, options.rounds):  # the first round warms up
            for run in order_of_round(runs, max(number, 0)):
                cores, engine = run.split(" ", 1)
                seconds = _seconds(fleets[int(cores)], engine, workload, options.work)
                print(f"round {number + 1}  {engine:<20}{cores} cores{seconds:9.2f} s", flush=True)
                if number >= 0:
                    found[run].append(seconds)
    _tell(found)


def _seconds(fleet: Fleet, engine: str, workload: Workload, work: Path) -> float:
    target = work / "scored" / f"scaling-{fleet.cores}"
    for folder in (target, target.with_name(f".{target.name}.spark_infer")):
        shutil.rmtree(folder, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _bound_to(fleet.cores):
        host = fleet.host_of(engine)
    begin = time.perf_counter()
    host.run(engine, workload, target)
    return time.perf_counter() - begin


@contextmanager
def _bound_to(cores: int) -> Iterator[None]:
    """Bind what is started meanwhile to the first cores of this machine."""
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


def _tell(found: dict[str, list[float]]) -> None:
    gains = {engine: [one / two for one, two in zip(*_by_cores(found, engine), strict=True)] for engine in ENGINES}
    for engine, gained in gains.items():
        told = spread(gained)
        print(f"{engine:<20}speed-up {told.median:.2f} [{told.low:.2f}, {told.high:.2f}]")
    share = spread([ours / alone for ours, alone in zip(gains[OURS], gains[ALONE], strict=True)])
    print(f"ours gains {share.median:.2f} [{share.low:.2f}, {share.high:.2f}] of what {ALONE} gains; target {TARGET}")


def _by_cores(found: dict[str, list[float]], engine: str) -> list[list[float]]:
    return [found[f"{cores} {engine}"] for cores in CORES]


if __name__ == "__main__":
    main()
