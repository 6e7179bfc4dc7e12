"""`spark-infer preview`: score some rows and show them; nothing is written."""

from __future__ import annotations

from typing import Annotated

import typer

from spark_infer.cli.options import EXIT_CODES, AsJson, JobFile, LogFile, Overrides, Params, Traceback
from spark_infer.cli.output import Output


def preview(
    job: JobFile,
    params: Params = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows to show at most.")] = 20,
    sample: Annotated[
        float | None,
        typer.Option(
            "--sample",
            metavar="SHARE",
            help="Score this share of the rows, from all over the table: 0.01 is one of a hundred. "
            "Without it, no more rows are scored than are shown: the first.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="With --sample: decides which rows are drawn.")] = 0,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """Score some rows of a job's source and show them as they would be written; nothing is written."""
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        from spark_infer.cli.job import read_job, try_rows

        config = read_job(output, job, overrides or (), log_file, params=params or ())
        found = try_rows(output, config, rows=rows, sample=sample, seed=seed)
        output.result(found.text(output.width), found.to_dict())


HELP = f"""\
Score some rows of a job's source and show them as they would be written; nothing is written.

The rows go all the way that a run's go: they are read, preprocessed, predicted and postprocessed on the workers. The
target, its runs and their history are not even looked at. Values of rows are shown on the screen, and not logged.

\b
Examples:
  spark-infer preview conf/demo.yaml
  spark-infer preview job.yaml --rows 5 --param day=2026-11-28
  spark-infer preview job.yaml --sample 0.01 --seed 7
  spark-infer preview job.yaml --json

{EXIT_CODES}
"""
