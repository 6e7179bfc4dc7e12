"""What `run`, `plan`, `preview`, `status` and `tune` share: a checked job file, an open log, an engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_infer.cli.logfile import open_log
from spark_infer.cli.output import Output
from spark_infer.config import JobConfig
from spark_infer.config.job_params import given_params
from spark_infer.config.load import load_job
from spark_infer.config.param_values import backfill_values
from spark_infer.config.secrets import hide
from spark_infer.errors import ConfigError
from spark_infer.observe.progress import ProgressLine

if TYPE_CHECKING:
    from spark_infer import Plan, Preview, Report
    from spark_infer.engines.base import Engine
    from spark_infer.job.backfill import Attempt, Backfilled
    from spark_infer.job.batch_invariance import Change
    from spark_infer.job.streams.published import Published
    from spark_infer.job.tune.tuning import Tuning
    from spark_infer.job.units.history import JobState
    from spark_infer.job.verification import Verification


def read_job(
    output: Output,
    path: Path,
    overrides: Sequence[str],
    log_file: Path | None,
    *,
    params: Sequence[str] = (),
    needs_params: bool = True,
    incremental: bool = False,
) -> JobConfig:
    """Load a job file, open the log, and tell ``output`` what to hide and where the log is."""
    overrides = [*overrides, *(["incremental.enabled=true"] if incremental else [])]
    config = load_job(path, overrides, params=given_params(params), needs_params=needs_params)
    output.hide = partial(hide, known=config.known_secrets())
    output.log_file = open_log(log_file, name=config.name, environ=os.environ, hide=output.hide)
    return config


def read_jobs(
    output: Output, path: Path, overrides: Sequence[str], log_file: Path | None, *, params: Sequence[str], backfill: str
) -> dict[str, JobConfig]:
    """Load a job file once for each value of a backfill: what is wrong with one is found before any begins."""
    name, values = backfill_values(backfill)
    if name in given_params(params):
        raise ConfigError(f"--param {name} gives one value, and --backfill others", next_step="Leave one of them out.")
    first, *others = (f"{name}={value}" for value in values)
    jobs = {first: read_job(output, path, overrides, log_file, params=[*params, first])}
    return jobs | {each: load_job(path, overrides, params=given_params([*params, each])) for each in others}


def score_all(
    output: Output, jobs: Mapping[str, JobConfig], *, parallel: int, stop_on_error: bool, new_run: bool
) -> Backfilled:
    """Run the jobs of a backfill, with a line on stderr for each that ends."""
    from spark_infer.job.backfill import backfill

    with ProgressLine(output.screen) as line:

        def say(attempt: Attempt) -> None:
            if not output.as_json:
                line.note(output.hide(str(attempt)))

        with _quiet(output):
            return backfill(
                jobs,
                parallel=parallel,
                stop_on_error=stop_on_error,
                new_run=new_run,
                log_file=output.log_file,
                on_end=say,
            )


def score(output: Output, config: JobConfig, *, new_run: bool = False) -> Report:
    """Run a job with a progress line on stderr."""
    from spark_infer.job.prepare import prepare_job
    from spark_infer.job.run import run_job
    from spark_infer.runtime.process_state import this_process

    signals = this_process().stop_signals
    with signals.obeyed(), ProgressLine(output.screen) as line, _engine(output, config, line, runs=True) as engine:
        job = prepare_job(engine, config, new_run=new_run)
        return run_job(job, on_progress=None if output.as_json else line)


def state_of(output: Output, config: JobConfig, params: Mapping[str, str]) -> JobState:
    """Look at the runs of a job's target, those with some parameters, at its bookmark and at its quarantine.

    Starts Spark only where the catalog says where one of them is.
    """
    from spark_infer.job.units.history import job_state
    from spark_infer.tables.local_tables import LocalTables

    wanted = {name: value for name, value in config.shown_params.items() if name in params}
    looked_at = [config.target, *([config.source] if config.new_rows else []), *filter(None, [config.quarantine])]
    if all(each.path is not None for each in looked_at):
        return job_state(config, LocalTables(), wanted)
    with ProgressLine(output.screen) as line, _engine(output, config, line, scores=False) as engine:
        return job_state(config, engine.tables, wanted)


def stream_published(output: Output, config: JobConfig) -> Published:
    """Look at how far a stream is; starts Spark only where the catalog says where its target is."""
    from spark_infer.job.streams.published import published
    from spark_infer.tables.local_tables import LocalTables

    if config.target.path is not None:
        return published(LocalTables(), config)
    with ProgressLine(output.screen) as line, _engine(output, config, line, scores=False) as engine:
        return published(engine.tables, config)


def check(output: Output, config: JobConfig, *, new_run: bool = False, load: bool = True) -> Plan:
    """Plan a job; nothing is scored or written."""
    from spark_infer.job.describe import plan_of
    from spark_infer.job.prepare import prepare_job

    with ProgressLine(output.screen) as line, _engine(output, config, line) as engine:
        return plan_of(prepare_job(engine, config, new_run=new_run, loads=load))


def try_rows(output: Output, config: JobConfig, *, rows: int, sample: float | None, seed: int) -> Preview:
    """Score some rows; nothing is written."""
    from spark_infer.job.preview import preview_job

    with ProgressLine(output.screen) as line, _engine(output, config, line) as engine:
        if not output.as_json:
            line.note("scoring some rows")
        return preview_job(engine, config, rows=rows, sample=sample, seed=seed)


def verified(output: Output, uri: str, *, engine: str, master: str | None, **asked: Any) -> Verification:
    """Verify a model, on this machine or on the workers of Spark."""
    from spark_infer.job.session import session_of
    from spark_infer.job.verify import THIS_MACHINE, SparkWorkers, verify_model

    with ProgressLine(output.screen) as line:
        if not output.as_json:
            line.note("scoring the example")
        with _quiet(output):
            session = partial(session_of, master, log_file=output.log_file)
            return verify_model(uri, **asked, workers=THIS_MACHINE if engine == "local" else SparkWorkers(session))


def measure(output: Output, config: JobConfig, rows: int) -> Tuning:
    """Tune a job; its target stays as it is."""
    from spark_infer.job.tune.measure import tune

    with ProgressLine(output.screen) as line, _engine(output, config, line) as engine:
        if not output.as_json:
            line.note("measuring")
        return tune(engine, config, sample_rows=rows)


def compare_batches(output: Output, config: JobConfig) -> list[Change]:
    """Predict rows of a job's table in several batches, on this machine."""
    from spark_infer.job.batch_invariance import batch_invariance_of

    with ProgressLine(output.screen) as line:
        if not output.as_json:
            line.note("predicting some rows in several batches")
        with _quiet(output), _loads_shown(output, line):
            return batch_invariance_of(config)


@contextmanager
def _engine(
    output: Output, config: JobConfig, line: ProgressLine, *, scores: bool = True, runs: bool = False
) -> Iterator[Engine[Any]]:
    """Start what the job's engine needs, and stop it at the end, also after Ctrl-C.

    A model that does not exist is found out first, for what `scores`.
    """
    from spark_infer.job.session import job_engine

    with job_engine(config, log_file=output.log_file, scores=scores, runs=runs) as engine:
        if not output.as_json:
            line.note(f"{'starting Spark, ' if config.engine == 'spark' else ''}checking model and tables")
        with _quiet(output), _loads_shown(output, line):
            yield engine


@contextmanager
def _loads_shown(output: Output, line: ProgressLine) -> Iterator[None]:
    """Say on the screen when this process loads or compiles a model."""
    from spark_infer.runtime.process_state import this_process

    models = this_process().models
    before = models.on_wait
    if not output.as_json:
        models.on_wait = line.note
    try:
        yield
    finally:
        models.on_wait = before


def _quiet(output: Output) -> AbstractContextManager[object]:
    """A model that prints while it loads must not write between the lines of the result, nor over the progress.

    Whoever asks for the log of the workers on the screen gets what libraries write there, too.
    """
    from spark_infer.runtime.output_capture import LOG_LEVEL
    from spark_infer.spark.descriptors import STDOUT, descriptors_to, libraries_to

    if output.log_file is None:
        return nullcontext()
    return descriptors_to(output.log_file, STDOUT) if os.environ.get(LOG_LEVEL) else libraries_to(output.log_file)
