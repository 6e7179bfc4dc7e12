"""The quick benchmark: one narrow table, scored by a model that costs nothing and by two that cost something.

    python -m benchmarks.quick                      # 2 M rows, 7 rounds, two cores: a quarter of an hour
    python -m benchmarks.quick --model lightgbm     # one model only
    python -m benchmarks.quick --rows 100000 --results build/benchmarks/results

It checks that all engines give the same answers, runs them in interleaved rounds, prints a table and
keeps every raw timing as JSON. It judges nothing: it fails only where answers differ or rows are lost.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environment import set_environment

CORES = 2
RESULTS = Path(__file__).with_name("results")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; leave `quick-<model>-<date>.json` and `.md` in the results folder."""
    options = _parser().parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    set_environment(cores=CORES, work=options.work)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Benchmark one model after the other."""
    # Imported here because these libraries read the environment when they are imported.
    from benchmarks.workload import MODELS

    _silence_mlflow()
    for model in options.model or MODELS:
        _run(model, options)


def _run(model: str, options: argparse.Namespace) -> None:
    """Make the workload, run the rounds, write the report."""
    from benchmarks import facts, report
    from benchmarks.bench import SPARK_CONF, open_bench
    from benchmarks.engines import ENGINES
    from benchmarks.rounds import check_answers, run_rounds
    from benchmarks.workload import make_workload

    started_at, machine = datetime.now(UTC), facts.machine()
    engines = {name: ENGINES[name] for name in options.engine or ENGINES}
    conf = SPARK_CONF | dict(options.conf)
    workload = make_workload(options.work, options.rows, model)
    target = options.work / "scored"
    with open_bench(workload, cores=CORES, conf=conf) as bench:
        check_answers(engines, bench, target)
        warm_up = run_rounds(engines, bench, target, rounds=options.warm_ups, label=f"{model} warm-up")
        runs = run_rounds(engines, bench, target, rounds=options.rounds, label=f"{model} round")

    lines = report.summarise(runs, rows=options.rows, base=next(iter(engines)))
    noisy = report.noisy_runs(runs, cores=CORES)
    versions = facts.versions()
    text = (
        f"{started_at:%Y-%m-%d}, {model}: {workload.rows:,} rows, {CORES} cores of {machine['cpu']}, "
        f"pyspark {versions['pyspark']}, mlflow {versions['mlflow']}\n\n"
        f"{report.markdown(lines, noisy=len(noisy), runs=len(runs))}"
    )
    record = {
        "benchmark": "quick",
        "started_at": started_at.isoformat(timespec="seconds"),
        "workload": workload.facts(),
        "settings": {"tasks_at_once": CORES, "threads_each": 1, "spark": conf},
        "versions": versions,
        "machine": machine,
        "warm_up": [asdict(one) for one in warm_up],
        "runs": [asdict(one) for one in runs],
        "summary": [asdict(line) for line in lines],
    }
    saved = report.save(options.results, f"quick-{model}-{started_at:%Y-%m-%d}", record, text)
    print(f"\n{text}\n{saved}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", description="spark_infer against its peers.")
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the table (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (default: %(default)s)")
    parser.add_argument("--warm-ups", type=int, default=1, help="rounds that are kept but not counted, after the check")
    parser.add_argument("--model", action="append", help="logistic, lightgbm or xgboost; repeat for more")
    parser.add_argument("--engine", action="append", help="only this one; repeat for more, the first is the base")
    parser.add_argument("--conf", type=_key_and_value, action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=_folder, default="build/benchmarks", help="where data and model are kept")
    parser.add_argument("--results", type=_folder, default=RESULTS, help="where the report goes")
    return parser


def _folder(text: str) -> Path:
    return Path(text).resolve()


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _silence_mlflow() -> None:
    """Keep the database migrations of a fresh MLflow store off the screen."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
