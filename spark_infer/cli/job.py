"""What `run`, `plan` and `demo` share: a checked job file, an open log, a Spark session."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spark_infer.cli.logfile import open_log
from spark_infer.cli.output import Output
from spark_infer.config import JobConfig
from spark_infer.config.secrets import hide
from spark_infer.job.file.load import load_job
from spark_infer.observe.progress import ProgressLine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_infer import Plan, Report
    from spark_infer.job.tune.tuning import Tuning
    from spark_infer.job.units.history import RunState


def read_job(output: Output, path: Path, overrides: Sequence[str], log_file: Path | None) -> JobConfig:
    """Load a job file, open the log, and tell ``output`` what to hide and where the log is."""
    config = load_job(path, overrides)
    output.hide = partial(hide, known=config.known_secrets())
    output.log_file = open_log(log_file, name=config.name, environ=os.environ, hide=output.hide)
    return config


def score(output: Output, config: JobConfig, *, new_run: bool = False) -> Report:
    """Run a job with a progress line on stderr."""
    from spark_infer import ScoringJob

    with ProgressLine(output.screen) as line, _session(output, config, line) as spark:
        return ScoringJob(config).run(spark, on_progress=None if output.as_json else line, new_run=new_run)


def runs(output: Output, config: JobConfig) -> list[RunState]:
    """Look at the runs of a job's target; starts Spark only where the catalog must say where that is."""
    from spark_infer.job.units.history import history
    from spark_infer.tables.local_tables import LocalTables

    if config.target.path is not None:
        return history(config, LocalTables())
    with ProgressLine(output.screen) as line, _session(output, config, line, scores=False) as spark:
        if spark is None:
            return history(config, LocalTables())
        from spark_infer.spark.tables.spark_tables import SparkTables

        return history(config, SparkTables(spark))


def check(output: Output, config: JobConfig, *, new_run: bool = False, load: bool = True) -> Plan:
    """Plan a job; nothing is scored or written."""
    from spark_infer import ScoringJob

    with ProgressLine(output.screen) as line, _session(output, config, line) as spark:
        return ScoringJob(config).plan(spark, new_run=new_run, load=load)


def measure(output: Output, config: JobConfig, rows: int) -> Tuning:
    """Tune a job; its target stays as it is."""
    from spark_infer.job.session import open_session
    from spark_infer.job.tune.measure import tune

    with ProgressLine(output.screen) as line, _session(output, config, line) as spark:
        if not output.as_json:
            line.note("measuring")
        return tune(config, lambda: spark or open_session(config), sample_rows=rows)


@contextmanager
def _session(
    output: Output, config: JobConfig, line: ProgressLine, *, scores: bool = True
) -> Iterator[SparkSession | None]:
    """Start Spark as the job wants it, and stop it at the end, also after Ctrl-C; engine `local` has none.

    A model that does not exist is found out before, for what `scores`.
    """
    from spark_infer.job.session import find_model, job_session
    from spark_infer.spark.descriptors import STDOUT, descriptors_to

    if config.engine == "spark":
        if scores:
            find_model(config)
        if not output.as_json:
            line.note("starting Spark")
    with job_session(config, log_file=output.log_file) as spark:
        if not output.as_json:
            line.note("checking model and tables")
        # A model that prints while it loads must not write between the lines of the result.
        with nullcontext() if output.log_file is None else descriptors_to(output.log_file, STDOUT):
            yield spark
