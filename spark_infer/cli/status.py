"""`spark-infer status` and `spark-infer report`: what the ledger beside a target says of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spark_infer.cli.options import EXIT_CODES, AsJson, JobFile, LogFile, Overrides, Params, Traceback
from spark_infer.cli.output import Output
from spark_infer.printable import printable

if TYPE_CHECKING:
    from spark_infer.config import JobConfig
    from spark_infer.job.units.history import JobState
    from spark_infer.tables.bookmark import Bookmark

Run = Annotated[
    str | None, typer.Option("--run", metavar="NAME", help="One run, by its name in `status`.", show_default=False)
]


def status(
    job: JobFile,
    params: Params = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """List the runs of a job's target: how far each is, how its last command ended, and rows left in quarantine."""
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        config, state = _state(output, job, params, overrides, log_file)
        if config.trigger is not None:
            from spark_infer.cli.job import stream_published

            found = stream_published(output, config)
            output.result(printable(str(found)), {"stream": found.stream, "micro_batch": found.newest})
            return
        target = config.hide(config.target.name)
        lines = [*map(str, state.runs)] or [printable(f"no run has written into this target: {target}")]
        if config.new_rows is not None:
            lines.append(printable(_up_to(state.bookmark, config.hide(config.source.name))))
        if config.quarantine is not None:
            rows = "not counted" if state.quarantine_rows is None else f"{state.quarantine_rows:,}"
            lines.append(printable(f"rows in the quarantine {config.hide(config.quarantine.name)}: {rows}"))
        output.result("\n".join(lines), state.to_dict())


def report(
    job: JobFile,
    run: Run = None,
    params: Params = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """Print the report of the newest finished run of a job's target, or of one run by name."""
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        from spark_infer.job.units.history import newest_report

        _, state = _state(output, job, params, overrides, log_file)
        found = newest_report(state.runs, run)
        output.result(str(found), found.to_dict())


def _up_to(bookmark: Bookmark | None, source: str) -> str:
    if bookmark is None:
        return f"the target has no bookmark: an incremental run scores all rows of {source}"
    model = f", by {bookmark.model}" if bookmark.model else ""
    return f"the target holds predictions of {source} up to {bookmark.up_to}{model}"


def _state(
    output: Output, job: JobFile, params: Params, overrides: Overrides, log_file: LogFile
) -> tuple[JobConfig, JobState]:
    from spark_infer.cli.job import read_job, state_of
    from spark_infer.config.job_params import given_params

    config = read_job(output, job, overrides or (), log_file, params=params or (), needs_params=False)
    return config, state_of(output, config, given_params(params or ()))


STATUS = f"""\
List the runs of a job's target: finished, unfinished and how far, or given up.

Reads the ledger beside the target, and counts the rows of the job's quarantine; nothing is scored. Spark is started
only for a table in the catalog.

\b
Examples:
  spark-infer status job.yaml
  spark-infer status job.yaml --param day=2026-11-28
  spark-infer status job.yaml --json

{EXIT_CODES}
"""
REPORT = f"""\
Print the report of the newest finished run of a job's target, or of one run by name.

\b
Examples:
  spark-infer report job.yaml
  spark-infer report job.yaml --run score.1f0c9a3e.0004.5d41402abc4b --json

{EXIT_CODES}
"""
