"""The command `spark-infer`: one function a command, each in its own file.

Importing this loads neither pyspark nor mlflow nor pandas; a command loads what it needs when it runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from spark_infer import __version__
from spark_infer.cli import models, plan, preview, run, status, tune, verify
from spark_infer.cli.demo import demo
from spark_infer.cli.doctor import doctor
from spark_infer.cli.options import EXIT_CODES

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"""\
Score Spark tables with MLflow models.

\b
Examples:
  spark-infer demo
  spark-infer plan job.yaml
  spark-infer preview job.yaml --rows 20
  spark-infer run job.yaml --set score.batch_size=5000

{EXIT_CODES}
""",
)
models_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at models.")

app.command("run", help=run.HELP, short_help="Score a table as a job file says.")(run.run)
app.command("plan", help=plan.HELP, short_help="Check a job file and say what a run would do.")(plan.plan)
app.command("preview", help=preview.HELP, short_help="Score some rows and show them.")(preview.preview)
app.command("status", help=status.STATUS, short_help="List the runs of a job's target.")(status.status)
app.command("report", help=status.REPORT, short_help="Print the report of a finished run.")(status.report)
app.command("tune", help=tune.HELP, short_help="Measure a job's settings on a sample of its table.")(tune.tune)
app.command("verify", help=verify.HELP, short_help="Compare a model's answers with known ones.")(verify.verify)
app.command("demo", short_help="Train, register and score on real flights.")(demo)
app.command("doctor", short_help="Check Python, Java, Spark, Delta and MLflow on this machine.")(doctor)
models_app.command("inspect", help=models.HELP, short_help="Show a model and what would serve it.")(models.inspect)
app.add_typer(models_app, name="models")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"spark-infer {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Hold the options of the command itself."""


if __name__ == "__main__":
    app(prog_name="spark-infer")
