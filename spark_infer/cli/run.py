"""`spark-infer run`: score a table as a job file says."""

from __future__ import annotations

from typing import Annotated

import typer

from spark_infer.cli.options import (
    EXIT_CODES,
    AsJson,
    Incremental,
    JobFile,
    LogFile,
    NewRun,
    Overrides,
    Params,
    Quarantined,
    RunIds,
    Traceback,
    quarantined_settings,
)
from spark_infer.cli.output import Output

Backfill = Annotated[
    str | None,
    typer.Option(
        "--backfill",
        metavar="NAME=FIRST..LAST",
        help="One run for each value of a parameter: days or whole numbers from first to last, or `a,b,c`.",
        show_default=False,
    ),
]
Parallel = Annotated[int, typer.Option("--parallel", min=1, help="How many runs of a backfill are at work at once.")]
StopOnError = Annotated[
    bool, typer.Option("--stop-on-error", help="Begin no further run of a backfill after one has failed.")
]


def run(
    job: JobFile,
    params: Params = None,
    backfill: Backfill = None,
    parallel: Parallel = 1,
    stop_on_error: StopOnError = False,
    overrides: Overrides = None,
    new_run: NewRun = False,
    incremental: Incremental = False,
    quarantined: Quarantined = False,
    run_id: RunIds = None,
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
        from spark_infer.cli.job import read_job, read_jobs, score, score_all

        overrides = [*(overrides or ()), *([] if max_runtime is None else [f"max_runtime={max_runtime}"])]
        overrides += quarantined_settings(run_id, quarantined=quarantined)
        if backfill is None:
            config = read_job(output, job, overrides, log_file, params=params or (), incremental=incremental)
            report = score(output, config, new_run=new_run)
            output.result(str(report), report.to_dict())
            return
        overrides = [*overrides, *(["incremental.enabled=true"] if incremental else [])]
        jobs = read_jobs(output, job, overrides, log_file, params=params or (), backfill=backfill)
        done = score_all(output, jobs, parallel=parallel, stop_on_error=stop_on_error, new_run=new_run)
        output.result(str(done), done.to_dict())
        if done.exit_code:
            raise typer.Exit(done.exit_code)


HELP = f"""\
Score a table as a job file says, and print the report.

Relative paths in the job file are relative to the current directory. Ctrl-C and SIGTERM stop the tasks; a second one
ends the command at once. The same command after a failure or a stop goes on where that one stopped; a run that is
finished is not done again. Of a backfill, a run that fails does not stop the others; the exit code is that of the
failures, or 4 where they differ.

\b
Examples:
  spark-infer run conf/demo.yaml
  spark-infer run job.yaml --set score.batch_size=5000 --set source.version=12
  spark-infer run job.yaml --param day=2026-11-28
  spark-infer run job.yaml --backfill day=2026-11-01..2026-11-28 --parallel 3
  spark-infer run job.yaml --json > report.json
  spark-infer run job.yaml --new-run
  spark-infer run job.yaml --max-runtime 2h
  spark-infer run job.yaml --incremental
  spark-infer run job.yaml --quarantined

{EXIT_CODES}
"""
