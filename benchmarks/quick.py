"""The quick benchmark: one narrow table, scored by a model that costs nothing and by two that cost something.

    python -m benchmarks.quick                      # 2 M rows, 7 rounds, two cores: a quarter of an hour
    python -m benchmarks.quick --model lightgbm     # one model only
    python -m benchmarks.quick --rows 100000 --results build/benchmarks/results

It is the suite (`suite.py`) with few engines and one size. It checks that all engines give the same answers, runs them
in interleaved rounds, prints a table and keeps every raw timing as JSON. It judges nothing: it fails only where answers
differ or rows are lost.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.environment import set_environment
from benchmarks.options import CORES, shared_parser, silence_mlflow

MODELS = ("logistic", "lightgbm", "xgboost")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; leave `quick-<model>-<date>.json` and `.md` in the results folder."""
    options = _parser().parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    set_environment(cores=CORES, work=options.work)
    for model in options.model or MODELS:
        run(model, options)


def run(model: str, options: argparse.Namespace) -> None:
    """Benchmark one model and write its report."""
    # Imported here because these libraries read the environment when they are imported.
    from benchmarks import report
    from benchmarks.fleet import QUICK
    from benchmarks.measured import Settings, measure_workload

    silence_mlflow()
    settings = Settings(
        cores=CORES,
        engines=tuple(options.engine or QUICK),
        rows=options.rows,
        scale=1.0,
        small_share=0.0,
        rounds=options.rounds,
        warm_ups=options.warm_ups,
        budget_seconds=None,
        cold=False,
        conf=dict(options.conf),
        work=options.work,
        batch_rows=options.batch_rows,
    )
    measured = measure_workload(model, settings)
    if measured.left_out:
        raise SystemExit(f"Nothing is reported, because engines were left out: {', '.join(measured.left_out)}")
    text = (
        f"{measured.started_at:%Y-%m-%d}, {model}: {options.rows:,} rows, {CORES} cores of "
        f"{measured.machine['cpu']}, pyspark {measured.versions['pyspark']}, mlflow {measured.versions['mlflow']}\n\n"
        f"{report.markdown(measured.lines, noisy=measured.noisy, runs=len(measured.runs))}"
    )
    name = f"quick-{model}-{measured.started_at:%Y-%m-%d}"
    saved = report.save(options.results, name, {"benchmark": "quick"} | measured.record(), text)
    print(f"\n{text}\n{saved}")


def _parser() -> argparse.ArgumentParser:
    parser = shared_parser("python -m benchmarks.quick", "spark_infer against its peers, in short.", rounds=7)
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the table (default: %(default)s)")
    parser.add_argument("--model", action="append", choices=MODELS, help="only this one; repeat for more")
    return parser


if __name__ == "__main__":
    main()
