"""Whether cost grows with the rows alone, and memory not at all: one job on 1, 3 and 10 copies of W1's table.

The copies are links, so that they take no room. The job runs on engine `local`; each size in a process of its own,
whose children's greatest resident set is what the system tells when they have ended.

Run `python -m benchmarks.growth`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.options import WORK, silence_mlflow

COPIES = (1, 3, 10)
ROWS = 5_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("--rows", type=int, default=ROWS, help="of one copy (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), default=Path(WORK).resolve())
    options = parser.parse_args(arguments)
    silence_mlflow()
    if options.one:
        print(json.dumps(_run(options.work, options.rows, options.one)))
        return
    found: dict[int, list[dict[str, float]]] = {copies: [] for copies in COPIES}
    for number in range(options.rounds + 1):
        for copies in COPIES:
            told = _apart(options, copies)
            if number:  # the first round fills the page cache
                found[copies].append(told)
    _tell(found, options.rows)


def _apart(options: argparse.Namespace, copies: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.growth", "--one", str(copies), "--rows", str(options.rows)]
    done = subprocess.run([*command, "--work", str(options.work)], capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _run(work: Path, rows: int, copies: int) -> dict[str, float]:
    from benchmarks.workloads.catalog import make_workload
    from spark_infer import score_table

    workload = make_workload("W1", work, rows)
    folder = work / "growth"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "in").mkdir(parents=True)
    for copy in range(copies):
        for file in workload.paths():
            os.link(file, folder / "in" / f"{copy}-{file.name}")
    report = score_table(
        source=str(folder / "in"),
        target={"path": str(folder / "out"), "keep": list(workload.keep)},
        model={"uri": workload.model_uri, "tracking_uri": workload.tracking_uri},
        engine="local",
    )
    shutil.rmtree(folder)
    busy = sum(seconds for step, seconds in report.task_seconds.items() if step != "load")
    return {
        "rows": report.rows_scored,
        "seconds": report.seconds["total"],
        "task_seconds": busy,
        "worker_gib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20,
    }


def _tell(found: dict[int, list[dict[str, float]]], rows: int) -> None:
    print("rows          seconds  task seconds for 1 M rows  largest worker")
    for copies, each in found.items():
        seconds, busy, held = (sorted(one[key] for one in each) for key in ("seconds", "task_seconds", "worker_gib"))
        middle, million = len(each) // 2, copies * rows / 1e6
        print(
            f"{copies * rows:<12,}{seconds[middle]:9.2f}  {busy[middle] / million:8.4f} "
            f"({busy[0] / million:.4f} to {busy[-1] / million:.4f})  {held[-1]:8.2f} GiB"
        )


if __name__ == "__main__":
    main()
