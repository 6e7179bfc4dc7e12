"""Score a table as a job file says, on the session that is there: the entry for spark-submit and for notebooks' jobs.

    python -m spark_infer.job job.yaml [--set key=value …]
    spark-submit "$(python -m spark_infer.job --path)" job.yaml [--set key=value …] [--param day=2026-11-28 …]

Delta tables need Delta's jar, which spark-submit must bring (the newest for Spark 4.2 shown); its settings are made
here:

    spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0 "$(python -m spark_infer.job --path)" job.yaml

The exit codes are those of `spark-infer run`: 0 done, 2 refused before anything ran, 3 environment, 4 failed while
running, 5 the time of max_runtime is over, 130 stopped by Ctrl-C, 143 by SIGTERM. docs/clusters.md has the commands for
standalone, YARN and Kubernetes.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False) and sys.path[0] == os.getcwd():
    # `python -m` puts the current folder first, and with it a `pyarrow.py` that somebody left there.
    del sys.path[0]

import argparse
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spark_infer import ScoringJob, SparkInferError
from spark_infer.config import secrets
from spark_infer.config.job_params import given_params
from spark_infer.job.prepare import prepare_job
from spark_infer.job.run import run_job
from spark_infer.job.session import job_engine
from spark_infer.printable import printable_lines, printable_text
from spark_infer.runtime.process_state import this_process
from spark_infer.runtime.stop_signals import described, exit_code

SCRIPT = Path(__file__).parent / "spark_submit" / "score_table.py"
"""What spark-submit takes: a file, which lies alone in its folder because Spark puts that on the path of imports."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job of a job file, print its report and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spark_infer.job", description="Score a table as a job file says.")
    parser.add_argument("job", metavar="JOB.YAML", help="the job file")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="replace one value of it"
    )
    parser.add_argument(
        "--param", dest="params", action="append", default=[], metavar="NAME=VALUE", help="value of a parameter of it"
    )
    parser.add_argument(
        "--path", action="version", version=str(SCRIPT), help="print the path of the script for spark-submit"
    )
    asked = parser.parse_args(arguments)
    hide: Callable[[Any], Any] = secrets.hide
    try:
        job = ScoringJob.from_yaml(asked.job, asked.overrides, params=given_params(asked.params))
        hide = job.config.hide
        with this_process().stop_signals.obeyed(), job_engine(job.config, runs=True) as engine:
            report = run_job(prepare_job(engine, job.config))
    except KeyboardInterrupt as stopped:
        what, details, next_step = described(stopped)
        lines = [f"interrupted: {what}", *details, *([f"Next: {next_step}"] if next_step else [])]
        sys.stderr.write(f"{printable_lines(lines)}\n")
        return exit_code(stopped)
    except SparkInferError as error:
        sys.stderr.write(f"{printable_text(hide(f'{error.kind}: {error}'))}\n")
        return error.exit_code
    except Exception as error:  # Python would print it with what it quotes
        sys.stderr.write(printable_text(hide("".join(traceback.format_exception(error)))))
        return 1
    sys.stdout.write(f"{printable_text(secrets.hide(str(report)))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
