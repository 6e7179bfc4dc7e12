"""`spark-infer verify`: score a model's own example on a worker, and compare with what is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from spark_infer.cli.models import RegistryUri, TrackingUri, Uri
from spark_infer.cli.options import EXIT_CODES, AsJson, LogFile, Traceback
from spark_infer.cli.output import Output


def verify(
    uri: Uri,
    golden: Annotated[
        Path | None,
        typer.Option(
            "--golden",
            metavar="FILE",
            help="Rows to score, instead of the model's input example: .parquet, .csv or .json. Where it has "
            "outputs of the model too, those are expected, and alone compared.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Largest difference of a floating number, relative above 1.")
    ] = 1e-6,
    engine: Annotated[
        Literal["local", "spark"],
        typer.Option(
            "--engine",
            help="Who scores: a process of this machine, or as many tasks of Spark as run at once.",
        ),
    ] = "local",
    master: Annotated[
        str | None,
        typer.Option("--master", help="Spark master; else that of spark-submit, or local[*].", show_default=False),
    ] = None,
    tracking_uri: TrackingUri = None,
    registry_uri: RegistryUri = None,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """Score a model's own example on a worker, and compare with what is known."""
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        from spark_infer.cli.job import verified
        from spark_infer.cli.logfile import open_log
        from spark_infer.errors import ModelRefusedError

        output.log_file = open_log(log_file, name="verify", environ=os.environ, hide=output.hide)
        found = verified(
            output,
            uri,
            golden=golden,
            tolerance=tolerance,
            tracking_uri=tracking_uri,
            registry_uri=registry_uri,
            engine=engine,
            master=master,
        )
        output.result(str(found), found.to_dict())
        if not found.equal:
            raise typer.Exit(ModelRefusedError.exit_code)


HELP = f"""\
Score a model's own example on a worker, and compare with what is known.

The rows are the input example that the model was logged with, or those of a golden file. The answers of a worker
process of this machine, or with --engine spark of as many tasks as the cluster runs at once, are compared with the
outputs that the golden file has, or else with what mlflow.pyfunc predicts here: numbers within the tolerance, all else
equal. Shows the versions of Python and the libraries of the driver, of the workers and as the model was logged, and of
a cluster each host. Loads the model, which runs its author's code. Exit code 2 where an answer is not as expected.

\b
Examples:
  spark-infer verify models:/flight_delay@champion
  spark-infer verify ./my_model --golden known.parquet --tolerance 1e-9
  spark-infer verify models:/flight_delay/3 --engine spark --master spark://head:7077
  spark-infer verify models:/flight_delay/3 --json

{EXIT_CODES}
"""
