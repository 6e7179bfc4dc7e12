"""`spark-infer run`: score a table as a job file says."""

from __future__ import annotations

from typing import Annotated

import typer

from spark_infer.cli.options import EXIT_CODES, AsJson, Incremental, JobFile, LogFile, NewRun, Overrides, Traceback
from spark_infer.cli.output import Output


def run(
    job: JobFile,
    overrides: Overrides = None,
    new_run: NewRun = False,
    incremental: Incremental = False,
    max_runtime: Annotated[
        str | None,
        typer.Option(
            "--max-runtime",
            metavar="TIME",
            help="Begin no more units after so long: seconds, or 90m, 2h, 1h30m. The same command goes on later.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """Score a table as a job file says, and print the report."""
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        from spark_infer.cli.job import read_job, score

        overrides = [*(overrides or ()), *([] if max_runtime is None else [f"max_runtime={max_runtime}"])]
        config = read_job(output, job, overrides, log_file, incremental=incremental)
        report = score(output, config, new_run=new_run)
        output.result(str(report), report.to_dict())


HELP = f"""\
Score a table as a job file says, and print the report.

Relative paths in the job file are relative to the current directory. Ctrl-C and SIGTERM stop the tasks; a second one
ends the command at once. The same command after a failure or a stop goes on where that one stopped; a run that is
finished is not done again.

\b
Examples:
  spark-infer run conf/demo.yaml
  spark-infer run job.yaml --set score.batch_size=5000 --set source.version=12
  spark-infer run job.yaml --json > report.json
  spark-infer run job.yaml --new-run
  spark-infer run job.yaml --max-runtime 2h
  spark-infer run job.yaml --incremental

{EXIT_CODES}
"""
