"""The options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

JobFile = Annotated[Path, typer.Argument(metavar="JOB.YAML", help="The job file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace one value of the job file; a dotted key, the value in YAML. Repeat for more.",
        show_default=False,
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="NAME=VALUE",
        help="Value of a parameter that the job file declares under `params`. Repeat for more.",
        show_default=False,
    ),
]
NewRun = Annotated[
    bool,
    typer.Option(
        "--new-run", help="Begin a new run, whatever an unfinished or a finished one of this job has done already."
    ),
]
Incremental = Annotated[
    bool,
    typer.Option(
        "--incremental",
        help="Score only the rows that are new since the last run; the same as `incremental: true` in the job file.",
    ),
]
Quarantined = Annotated[
    bool,
    typer.Option(
        "--quarantined",
        help="Score the rows of the job's quarantine table again: what succeeds is added to the target and leaves it.",
    ),
]
RunIds = Annotated[
    list[str] | None,
    typer.Option(
        "--run-id",
        metavar="ID",
        help="With --quarantined: only rows that this run has quarantined. Repeat for more.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: the result alone on stdout, an error on stderr.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Print the Python traceback of an error too.")]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        metavar="FILE",
        help="Where the log of Spark and MLflow goes; by default a new file in ~/.local/state/spark_infer/logs "
        "(or below $XDG_STATE_HOME).",
        show_default=False,
    ),
]


def quarantined_settings(run_ids: Sequence[str] | None, *, quarantined: bool) -> list[str]:
    """Return what `--quarantined` and `--run-id` set in a job file.

    Raises:
        ConfigError: `--run-id` is given alone.
    """
    if run_ids and not quarantined:
        from spark_infer.errors import ConfigError

        raise ConfigError(
            "`--run-id` chooses among quarantined rows, and `--quarantined` is not given.",
            next_step="give --quarantined too, or leave --run-id out.",
        )
    wanted = [f"quarantined.run_ids={json.dumps(run_ids)}"] if run_ids else []
    return [*(["quarantined.enabled=true"] if quarantined else []), *wanted]


# The line with \b alone keeps the lines of the paragraph below it as they are.
EXIT_CODES = """\
\b
Exit codes:
  0    done
  1    unexpected error
  2    refused before anything ran: the job file, the model, the table or the target
  3    something about this machine or a server does not fit
  4    failed while running
  5    the time of max_runtime is over; the same command goes on
  130  stopped by Ctrl-C, 143 by SIGTERM; the same command goes on
"""
