"""Whether this checkout is slower than another one: the same jobs by both, in turn.

    git worktree add ../before v0.1.0 && (cd ../before && sh requirements/install.sh dev)
    python -m benchmarks.revisions ../before [--workload W1 --workload W3] [--rounds 7] [--work FOLDER]

Each checkout has its own virtual environment and a Spark session of its own, which lives through all rounds. The
ratios are this checkout's time over the other's, taken within a round.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.cost import Cost, measure
from benchmarks.environment import set_environment
from benchmarks.fleet import OURS
from benchmarks.hosts.host import Host
from benchmarks.options import WORK, silence_mlflow
from benchmarks.ratios import order_of_round, spread
from benchmarks.workload import Workload

ENGINES = (OURS, "spark_infer.score")
CORES = 2


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.revisions")
    parser.add_argument("other", type=lambda text: Path(text).resolve(), help="a checkout with a .venv")
    parser.add_argument("--workload", action="append", help="W1 and W3 by default; repeat for more")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), default=Path(WORK).resolve())
    options = parser.parse_args(arguments)
    set_environment(cores=CORES, work=options.work)
    silence_mlflow()
    # Imported here because it imports libraries that read the environment when they are imported.
    from benchmarks.workloads.catalog import SPECS, make_workload

    for name in options.workload or ["W1", "W3"]:
        workload = make_workload(name, options.work, SPECS[name].rows)
        with _hosts(options.other, workload, options.work) as hosts:
            found = _run(hosts, workload, options.work / "scored" / "revisions", options.rounds)
        for engine in ENGINES:
            _print_ratios(f"{name} {engine}", found["this", engine], found["other", engine])


@contextmanager
def _hosts(other: Path, workload: Workload, work: Path) -> Iterator[dict[str, Host]]:
    here = Path(__file__).parents[1]
    with ExitStack() as stack:
        hosts = {}
        for name, checkout, python in (
            ("this", here, sys.executable),
            ("other", other, str(other / ".venv" / "bin" / "python")),
        ):
            hosts[name] = Host(
                "spark",
                python=python,
                log=work / "logs" / f"revisions-{name}.log",
                arguments=["--cores", str(CORES), *(f"--conf={key}={value}" for key, value in workload.spark_conf)],
                environment={
                    "PYTHONPATH": str(checkout),
                    "PYSPARK_PYTHON": python,
                    "SPARK_INFER_HOME": str(work / f"spark_infer-{name}"),
                },
                folder=checkout,
            )
            stack.callback(hosts[name].close)
        yield hosts


def _run(hosts: dict[str, Host], workload: Workload, target: Path, rounds: int) -> dict[tuple[str, str], list[Cost]]:
    runs = {f"{name} {engine}": (name, engine) for engine in ENGINES for name in hosts}
    found: dict[tuple[str, str], list[Cost]] = {run: [] for run in runs.values()}
    for number in range(-2, rounds):  # two rounds warm up
        for name, engine in map(runs.__getitem__, order_of_round(list(runs), max(number, 0))):
            for folder in (target, target.with_name(f".{target.name}.spark_infer")):
                shutil.rmtree(folder, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            host = hosts[name]
            cost = measure(partial(host.run, engine, workload, target), host.pid)
            print(
                f"round {number + 1:2}  {name:<6}{engine:<20}{cost.seconds:8.2f} s{cost.cpu_seconds:8.2f} CPU s"
                f"{cost.other_cpu_seconds:8.2f} of others",
                flush=True,
            )
            if number >= 0:
                found[name, engine].append(cost)
    return found


def _print_ratios(title: str, this: Sequence[Cost], other: Sequence[Cost]) -> None:
    pairs = list(zip(this, other, strict=True))
    for unit in ("seconds", "cpu_seconds"):
        ratio = spread([getattr(one, unit) / getattr(two, unit) for one, two in pairs])
        print(f"{title}: this / other, {unit}: {ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]", flush=True)


if __name__ == "__main__":
    main()
