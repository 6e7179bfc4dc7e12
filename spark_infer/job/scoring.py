"""The table door: `ScoringJob` and `score_table`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from typing_extensions import Unpack

from spark_infer.config import JobConfig
from spark_infer.config.job_params import declared, filled
from spark_infer.config.keywords import JobKeywords, spells_out, unknown_options
from spark_infer.config.load import load_job
from spark_infer.config.validate_options import validated
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.unit_progress import OnProgress
from spark_infer.job.choose_engine import engine_of
from spark_infer.job.describe import plan_of
from spark_infer.job.door_settings import job_settings, pinned_model, source_settings
from spark_infer.job.plan import Plan
from spark_infer.job.prepare import prepare_job
from spark_infer.job.preview import ROWS, Preview, preview_job
from spark_infer.job.run import run_job
from spark_infer.job.session import find_model, hiding_secrets, open_session
from spark_infer.models.callables.callable_model import AnyModel
from spark_infer.models.ref import ModelRef
from spark_infer.observe.report import Report
from spark_infer.spark.starting_session import started

if TYPE_CHECKING:
    from spark_infer.spark import DataFrame, SparkSession

    AnySource = str | os.PathLike[str] | Mapping[str, Any] | DataFrame


class ScoringJob:
    """A table job: score a Delta or Parquet table into another.

    With ``engine: local`` in its configuration it runs in processes of this machine, and takes no session.

    Example:
        >>> job = ScoringJob.from_yaml("job.yaml", ["score.batch_size=5000"])
        >>> print(job.plan(spark))  # everything is checked, nothing has run
        score: nothing is scored, nothing is written
        ...
        >>> job.run(spark).rows_scored
        3
    """

    def __init__(self, config: JobConfig, *, model: ModelRef | None = None) -> None:
        self.config = config
        self._model = model

    @classmethod
    def from_yaml(
        cls, path: str | Path, overrides: Sequence[str] = (), *, params: Mapping[str, Any] | None = None
    ) -> ScoringJob:
        """Read a job file.

        Args:
            path: The YAML file; relative paths in it are relative to the current directory.
            overrides: Settings of the form ``score.batch_size=5000``.
            params: Values of the parameters that the file declares: ``{"day": date(2026, 11, 28)}``.

        Raises:
            ConfigError: With every problem of the file and the overrides, each with its line.
        """
        return cls(load_job(path, overrides, params=params))

    def session(self) -> SparkSession:
        """Return the Spark session that is running, or start the one that the job file and spark-submit ask for.

        A session that it starts knows Delta where the job needs it: under spark-submit, ``--packages`` is enough.

        Raises:
            PlanError: There is no such model; or Java, Spark, a jar or an address does not fit.
        """
        with hiding_secrets(self.config):
            return self._open_session()

    @overload
    def plan(self, *, new_run: bool = False, load: bool = True) -> Plan: ...

    @overload
    def plan(self, spark: SparkSession, *, new_run: bool = False, load: bool = True) -> Plan: ...

    def plan(self, spark: Any = None, *, new_run: bool = False, load: bool = True) -> Plan:
        """Resolve and check everything, and say what a run would do; starts no Spark task, changes no table.

        Loads the model and has it predict a few rows, which runs the code of the model's author on the driver.

        With `compile`, Spark reads the rows to compare in one small job where only Spark can read them.

        Args:
            spark: The session; without it that of `session`. Engine `local` has none.
            new_run: Plan a new run whatever was done before, as `run` would begin it.
            load: False checks all that needs none of the model's code. Steps of the job's own are still imported.

        Raises:
            PlanError: The job cannot run as it stands.
        """
        with hiding_secrets(self.config):
            return plan_of(self._prepare(spark, new_run=new_run, loads=load))

    def preview(self, spark: Any = None, *, rows: int = ROWS, sample: float | None = None, seed: int = 0) -> Preview:
        """Score some rows on the workers and return them as they would be written; write nothing.

        The target, its runs and their history are not even looked at: a job that is finished can be previewed, and one
        whose target `plan` would refuse.

        Args:
            spark: The session; without it that of `session`. Engine `local` has none.
            rows: The most rows to return, 1 to 10,000: the first of the source, or some from all over the sample.
            sample: The share of the source to score, drawn from all over it: 0.01 scores one row of a hundred, and
                says how long the whole table would take. None scores no more rows than are returned.
            seed: Decides which rows are drawn. The same seed draws the same rows from the same version of the table,
                on the same engine with as many slots.

        Raises:
            PlanError: The job cannot run as it stands; no task has started.
            RunError: Rows could not be read or scored.
        """
        with hiding_secrets(self.config):
            deadline = Deadline.of(self.config)
            engine = engine_of(self.config, lambda: started(spark or self._open_session()))
            return preview_job(
                engine, self.config, rows=rows, sample=sample, seed=seed, model=self._model, deadline=deadline
            )

    @overload
    def run(self, *, on_progress: OnProgress | None = None, new_run: bool = False) -> Report: ...

    @overload
    def run(self, spark: SparkSession, on_progress: OnProgress | None = None, *, new_run: bool = False) -> Report: ...

    def run(self, spark: Any = None, on_progress: OnProgress | None = None, *, new_run: bool = False) -> Report:
        """Score the table and write the target.

        A run that was stopped goes on where it was: what is done is not scored again, and a run that is finished is not
        repeated.

        Args:
            spark: The session, whose Python the workers run; without it that of `session`. Engine `local` has none.
            on_progress: Called about twice a second while tasks run, from another thread.
            new_run: Begin a new run whatever was done before.

        Raises:
            PlanError: Refused; no Spark task has started and nothing has changed on disk. `UnfinishedRunError` where an
                unfinished run of this job planned something else.
            RunError: Failed while running; the target is as it was before, or further by whole units, and the same call
                goes on from there.
        """
        with hiding_secrets(self.config):
            return run_job(self._prepare(spark, new_run=new_run, runs=True), on_progress=on_progress)

    def _prepare(self, spark: Any, *, new_run: bool, loads: bool = True, runs: bool = False) -> PreparedJob:
        deadline = Deadline.of(self.config)
        engine = engine_of(self.config, lambda: started(spark or self._open_session()), runs=runs)
        return prepare_job(engine, self.config, model=self._model, new_run=new_run, loads=loads, deadline=deadline)

    def _open_session(self) -> SparkSession:
        if self._model is None:
            find_model(self.config)
        return open_session(self.config)


@overload
def score_table(
    *,
    source: AnySource,
    target: str | os.PathLike[str] | Mapping[str, Any],
    model: AnyModel | Mapping[str, Any],
    source_name: str | None = None,
    job_params: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
    new_run: bool = False,
    limit: None = None,
    **options: Unpack[JobKeywords],
) -> Report: ...


@overload
def score_table(
    spark: SparkSession,
    *,
    source: AnySource,
    target: str | os.PathLike[str] | Mapping[str, Any],
    model: AnyModel | Mapping[str, Any],
    source_name: str | None = None,
    job_params: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
    new_run: bool = False,
    limit: None = None,
    **options: Unpack[JobKeywords],
) -> Report: ...


@overload
def score_table(
    *,
    source: AnySource,
    target: str | os.PathLike[str] | Mapping[str, Any],
    model: AnyModel | Mapping[str, Any],
    limit: int,
    source_name: str | None = None,
    **options: Unpack[JobKeywords],
) -> Preview: ...


@overload
def score_table(
    spark: SparkSession,
    *,
    source: AnySource,
    target: str | os.PathLike[str] | Mapping[str, Any],
    model: AnyModel | Mapping[str, Any],
    limit: int,
    source_name: str | None = None,
    **options: Unpack[JobKeywords],
) -> Preview: ...


@spells_out(JobKeywords)
def score_table(
    spark: Any = None,
    *,
    source: AnySource,
    target: str | os.PathLike[str] | Mapping[str, Any],
    model: AnyModel | Mapping[str, Any],
    source_name: str | None = None,
    job_params: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
    new_run: bool = False,
    limit: int | None = None,
    **options: Unpack[JobKeywords],
) -> Report | Preview:
    """Score a table into another: the job file as a call.

    Args:
        spark: The session; without it the running one, or one that is started. Engine `local` has none.
        source: Path of the table, a DataFrame, or the keys of a job file's ``source``: ``{"query": "select …"}``.
        target: Path of the table, or the keys of a job file's ``target``.
        model: Model URI, the keys of a job file's ``model``, a `ModelRef`, or a plain Python function, class or
            `CallableModel`.
        source_name: Of a DataFrame: what its rows are called, such as ``"sales of 2026-11-30"``. A later call with the
            same name goes on with the rows of one that failed, and does not append them again.
        job_params: Parameters of the job, such as ``{"day": date(2026, 11, 28)}``; ``${params.day}`` in the texts above
            stands for one. Runs with other values have accounts of their own.
        on_progress: Called about twice a second while tasks run, from another thread.
        new_run: Begin a new run whatever was done before.
        limit: Score so many rows of the source at most and return them; nothing is written, and neither the target nor
            its runs are looked at. `ScoringJob.preview` can draw a sample too.
        **options: Further keys of a job file, and those of its ``score``; `JobKeywords` has their names and types.

    Returns:
        What was done. With ``limit`` a `Preview`, whose ``rows`` are a pyarrow Table with the columns of the target:
        ``print(preview)`` shows them, ``preview.to_pandas()`` and ``spark.createDataFrame(preview.rows)`` make frames.

    Raises:
        PlanError: Refused; no Spark task has started and nothing has changed on disk.
        RunError: Failed while running; the target is as it was before, or further by whole units, and the same call
            goes on from there.

    Example:
        >>> report = score_table(
        ...     spark,
        ...     source={"path": "data/flights", "partition_filter": {"month": [12]}},
        ...     target={"path": "data/december", "mode": "append"},
        ...     model="models:/flight_delay@champion",
        ...     batch_size=5000,
        ... )
        >>> report.rows_scored
        2
    """
    unknown = unknown_options(score_table, options, lacks={})
    source = source_settings(source, source_name)
    settings = job_settings(model, dict(options), source=source, target=target)
    if job_params:
        params = {name: declared(value) for name, value in job_params.items()}
        places = ("model", "source", "target", "score")
        settings |= filled({name: settings[name] for name in places}, params) | {"params": params}
    config = validated(JobConfig, settings, unknown)
    job = ScoringJob(config, model=pinned_model(model, config))
    spark = getattr(config.source.frame, "sparkSession", None) if spark is None else spark
    if limit is not None:
        return job.preview(spark, rows=limit)
    return job.run(spark, on_progress, new_run=new_run)
