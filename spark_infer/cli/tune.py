"""`spark-infer tune`: measure a job's settings on a sample of its table."""

from __future__ import annotations

from typing import Annotated

import typer

from spark_infer.cli.options import EXIT_CODES, AsJson, JobFile, LogFile, Overrides, Params, Traceback
from spark_infer.cli.output import Output


def tune(
    job: JobFile,
    params: Params = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows of the table to measure.")] = 100_000,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """Measure a job's settings on a sample of its table, and say which are best."""
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        from spark_infer.cli.job import measure, read_job

        found = measure(output, read_job(output, job, overrides or (), log_file, params=params or ()), rows)
        output.result(str(found), found.to_dict())


HELP = f"""\
Measure a job's settings on a sample of its table, and say which are best.

Scores rows from all over the table some forty times on this machine: with batches of several sizes, with one core
or more for each task, and by way of each plane. Takes about a minute; the target stays as it is.

\b
Examples:
  spark-infer tune conf/demo.yaml
  spark-infer tune job.yaml --rows 20000 --set engine=local
  spark-infer tune job.yaml --json

{EXIT_CODES}
"""
