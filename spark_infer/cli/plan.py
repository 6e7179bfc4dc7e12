"""`spark-infer plan`: check a job file and say what a run would do."""

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


def plan(
    job: JobFile,
    params: Params = None,
    overrides: Overrides = None,
    new_run: NewRun = False,
    incremental: Incremental = False,
    quarantined: Quarantined = False,
    run_id: RunIds = None,
    no_load: Annotated[
        bool, typer.Option("--no-load", help="Do not load the model: check all that needs none of its code.")
    ] = False,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """Check a job file and say what a run would do; nothing is scored or written."""
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        from spark_infer.cli.job import check, read_job

        overrides = [*(overrides or ()), *quarantined_settings(run_id, quarantined=quarantined)]
        config = read_job(output, job, overrides, log_file, params=params or (), incremental=incremental)
        checked = check(output, config, new_run=new_run, load=not no_load)
        output.result(str(checked), checked.to_dict())


HELP = f"""\
Check a job file and say what a run would do; nothing is scored or written.

Resolves the model, reads the schema of the table, binds its columns to the model's and checks the target.
Loads the model and has it predict a few rows, which runs its author's code on this machine; --no-load does not.

\b
Examples:
  spark-infer plan conf/demo.yaml
  spark-infer plan job.yaml --set model.uri=models:/flight_delay/3
  spark-infer plan job.yaml --param day=2026-11-28
  spark-infer plan job.yaml --new-run
  spark-infer plan job.yaml --incremental
  spark-infer plan job.yaml --quarantined
  spark-infer plan job.yaml --no-load
  spark-infer plan job.yaml --json

{EXIT_CODES}
"""
