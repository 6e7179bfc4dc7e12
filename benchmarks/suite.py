"""The benchmark suite: ten kinds of work, every peer, and what each technique is worth.

    python -m benchmarks.suite                                  # everything at full size: hours
    python -m benchmarks.suite --check --scale 0.01             # only that all engines answer alike: minutes
    python -m benchmarks.suite --scale 0.01 --rounds 1 --results build/bench/results     # a trial of all of it
    python -m benchmarks.suite --workload W1 --workload W4      # these only; the page keeps the others' results
    python -m benchmarks.suite --ablations --workload W1        # ours against ours with one technique turned off

Each workload leaves `<name>.json` in the results folder as soon as it is done; the page (`suite.md`, `suite.svg`) is
made of all that lie there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.environment import set_environment
from benchmarks.options import CORES, RESULTS, shared_parser, silence_mlflow

WORKLOADS = ("W1", "W2", "W3", "W4", "W5", "W6", "W8", "W9", "W11", "W0-1", "W0-5", "W0-20", "W0-80", "W0-200")
SMALL_SHARE = 0.25


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the suite; exit with 1 where an engine had to be left out."""
    options = _parser().parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    set_environment(cores=CORES, work=options.work)
    left_out = [f"{name}: {engine}" for name in options.workload or WORKLOADS for engine in run(name, options)]
    if left_out:
        raise SystemExit("Left out: " + "; ".join(left_out))


def run(name: str, options: argparse.Namespace) -> list[str]:
    """Measure one workload, keep its timings and write the page again; return the engines that were left out."""
    # Imported here because these libraries read the environment when they are imported.
    from benchmarks.fleet import ABLATIONS, ENGINES, ONLY_IN, OURS
    from benchmarks.measured import Settings, check_workload, measure_workload
    from benchmarks.page import write_page
    from benchmarks.report import save_record

    silence_mlflow()
    suited = (each for each in ENGINES if name in ONLY_IN.get(each, WORKLOADS))
    chosen = (OURS, *ABLATIONS) if options.ablations else tuple(suited)
    settings = Settings(
        cores=CORES,
        engines=tuple(options.engine or chosen),
        rows=None,
        scale=options.scale,
        small_share=SMALL_SHARE,
        rounds=options.rounds,
        warm_ups=options.warm_ups,
        budget_seconds=options.budget,
        cold=not options.no_cold,
        conf=dict(options.conf),
        work=options.work,
        batch_rows=options.batch_rows,
    )
    if options.check:
        return list(check_workload(name, settings))
    measured = measure_workload(name, settings)
    kind = "ablations" if options.ablations else "suite"
    save_record(options.results / kind / f"{name}.json", {"benchmark": kind} | measured.record())
    print(write_page(options.results, kind), flush=True)
    return list(measured.left_out)


def _parser() -> argparse.ArgumentParser:
    parser = shared_parser("python -m benchmarks.suite", "spark_infer against its peers and limits.", rounds=7)
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; repeat for more")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows; below 0.1 of the model too")
    parser.add_argument("--budget", type=float, default=90.0, metavar="SECONDS", help="for one engine in all rounds")
    parser.add_argument("--no-cold", action="store_true", help="no run of each engine in a fresh host")
    parser.add_argument("--check", action="store_true", help="only check that all engines answer alike; time nothing")
    parser.add_argument("--ablations", action="store_true", help="ours with one technique turned off at a time")
    parser.set_defaults(results=RESULTS)
    return parser


if __name__ == "__main__":
    main()
