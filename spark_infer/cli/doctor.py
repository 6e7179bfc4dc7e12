"""`spark-infer doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spark_infer.cli.options import AsJson, LogFile, Overrides, Params, Traceback
from spark_infer.cli.output import Output
from spark_infer.errors import ModelRefusedError, SparkInferError
from spark_infer.printable import printable_lines

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_infer.cli.finding import Finding
    from spark_infer.config import JobConfig

DEEP_ROWS = 4


def doctor(
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow server or store to check; else MLFLOW_TRACKING_URI.", show_default=False),
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Start Spark too, and run a small job on a worker.")] = False,
    row_order: Annotated[
        str | None,
        typer.Option(
            "--row-order",
            metavar="MODEL",
            help="Try whether this model answers its rows in their order; models:/name@alias, runs:/… or a folder.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="FOLDER",
            help="With --row-order: try it with rows of this Delta or Parquet table; else with its input example.",
            show_default=False,
        ),
    ] = None,
    batch_invariance: Annotated[
        Path | None,
        typer.Option(
            "--batch-invariance",
            metavar="JOB",
            help="Measure how much predictions of this job file change with the batches that rows of its table are in.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", min=0.0, help="With --batch-invariance: largest change of a number, relative above 1."
        ),
    ] = 1e-5,
    overrides: Overrides = None,
    params: Params = None,
    as_json: AsJson = False,
    log_file: LogFile = None,
    show_traceback: Traceback = False,
) -> None:
    """Check what a run needs from this machine, and say how to mend what does not fit.

    Looks at Python, Java, Spark, Delta, MLflow, the workers' interpreter, memory and disk. Starts no Spark
    unless asked to. Exit code 0: all is well; 2: the model of --row-order or the job of --batch-invariance is refused,
    or its predictions change by more than --tolerance; 3: else.

    \b
    Examples:
      spark-infer doctor
      spark-infer doctor --deep --json
      spark-infer doctor --row-order models:/demand@champion --source data/days
      spark-infer doctor --batch-invariance job.yaml --tolerance 1e-6
      spark-infer doctor --batch-invariance job.yaml --set score.batch_size=64
    """  # noqa: D301 - \b keeps the lines of the examples apart
    if source is not None and row_order is None:
        raise typer.BadParameter("it goes with --row-order MODEL.", param_hint="--source")
    if (overrides or params) and batch_invariance is None:
        raise typer.BadParameter("it goes with --batch-invariance JOB.", param_hint="--set" if overrides else "--param")
    output = Output(as_json=as_json, show_traceback=show_traceback)
    with output.exit_code():
        from spark_infer.cli.findings import look_around
        from spark_infer.cli.job import read_job
        from spark_infer.cli.logfile import open_log

        findings = look_around(os.environ, tracking_uri=tracking_uri)
        if deep or row_order is not None:
            output.log_file = open_log(log_file, name="doctor", environ=os.environ, hide=output.hide)
        if deep:
            findings.append(_run_small_job(output))
        if row_order is not None:
            findings.append(_try_row_order(row_order, source, tracking_uri))
        if batch_invariance is not None:
            read = partial(read_job, output, batch_invariance, overrides or (), log_file, params=params or ())
            findings += _try_batches(output, read, tolerance)
        problems = [finding for finding in findings if finding.status == "problem"]
        well = not problems
        facts = {"well": well, "findings": [finding.to_dict() for finding in findings]}
        output.result(printable_lines(_lines(findings)), facts)
        if not well:
            # What plan finds out first decides: it refuses the model before it needs anything else of the machine.
            raise typer.Exit(min(problem.exit_code for problem in problems))


def _lines(findings: list[Finding]) -> Iterator[str]:
    problems = sum(finding.status == "problem" for finding in findings)
    yield f"doctor: {problems} problem{'' if problems == 1 else 's'}" if problems else "doctor: all is well"
    yield ""
    for finding in findings:
        if finding.status == "problem":
            yield f"  ! {finding.name + ': ' + finding.found}"
            if finding.fix:
                yield f"  !   fix: {finding.fix}"
            continue
        yield f"  {finding.name:<13}{finding.found}"
        if finding.fix:
            yield f"  {'':<13}({finding.fix})"


def _try_row_order(model: str, source: str | None, tracking_uri: str | None) -> Finding:
    """Let a model answer some rows in several orders."""
    from spark_infer.cli.finding import Finding
    from spark_infer.core.row_order import NEXT_STEP
    from spark_infer.job.roworder import row_order_of

    try:
        found = row_order_of(model, source, tracking_uri=tracking_uri)
    except SparkInferError as error:
        return Finding("row order", "problem", error.what, error.next_step, error.exit_code)
    if found.moved:
        return Finding("row order", "problem", f"{model}: {found}", NEXT_STEP, ModelRefusedError.exit_code)
    return Finding("row order", "note" if found.unknown else "ok", f"{model}: {found}")


def _try_batches(output: Output, read: Callable[[], JobConfig], tolerance: float) -> list[Finding]:
    """Let a job's model predict rows in several batches."""
    from spark_infer.cli.finding import Finding
    from spark_infer.cli.job import compare_batches

    try:
        changes = compare_batches(output, read())
    except SparkInferError as error:
        return [Finding("batches", "problem", error.what, error.next_step, error.exit_code)]
    fix = "set `score.batch_size` to the number of rows that it was made for; predictions depend on the rows beside one"
    return [
        Finding("batches", "problem", str(change), fix, ModelRefusedError.exit_code)
        if change.worst.size > tolerance
        else Finding("batches", "ok", str(change))
        for change in changes
    ]


def _run_small_job(output: Output) -> Finding:
    """Start Spark as `spark-infer run` would, and let Python workers answer."""
    from spark_infer.cli.finding import Finding

    delta_conf: dict[str, str] = {}
    if find_spec("delta"):
        from spark_infer.tables import delta

        delta_conf = dict(delta.delta_conf())
    try:
        from spark_infer.config import ResourceOptions, SparkConfig
        from spark_infer.spark.resources.stage import plan_stage
        from spark_infer.spark.session import start_session

        spark = start_session(
            SparkConfig(master="local[2]"), app_name="doctor", delta_conf=delta_conf, log_file=output.log_file
        )
        try:
            stage = plan_stage(spark, ResourceOptions())
            rows = spark.range(DEEP_ROWS).mapInArrow(_answer, "python string").collect()
            slots = stage.describe(spark)[0]
        finally:
            spark.stop()
    except SparkInferError as error:
        return Finding("spark job", "problem", error.what, error.next_step)
    except Exception as error:
        return Finding("spark job", "problem", f"failed with {type(error).__name__}", f"read {output.log_file}")
    pythons = sorted({row[0] for row in rows})
    return Finding("spark job", "ok", f"{len(rows)} rows came back from {', '.join(pythons)}; tasks: {slots}")


def _answer(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run on a worker: name the interpreter, once a row."""
    import pyarrow as pa

    for batch in batches:
        yield pa.RecordBatch.from_pydict({"python": [sys.executable] * batch.num_rows})
