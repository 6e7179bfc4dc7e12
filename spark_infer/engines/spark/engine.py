"""Engine `spark`: tasks of a Spark session; workers read and write files themselves, or Spark does it for them."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from spark_infer.config import JobConfig, ResourceOptions, ScoreOptions, SourceConfig
from spark_infer.engines.parity_rows import from_files
from spark_infer.engines.plane import Plane, choose_plane, without_direct
from spark_infer.engines.prepared_job import MatchedJob, PreparedJob, Source
from spark_infer.engines.preview_rows import Previewed, Selection
from spark_infer.engines.spark.preview_tasks import preview
from spark_infer.engines.spark.spark_errors import while_planning, while_running
from spark_infer.engines.spark.units import SparkUnits
from spark_infer.engines.spark.whole_write import SparkWriter, scored_rows
from spark_infer.engines.unit_progress import OnProgress
from spark_infer.engines.unit_run import Score, UnitRun
from spark_infer.errors import SparkMustReadError
from spark_infer.models.files.store import ModelStore
from spark_infer.models.hosting import ExecutorShape
from spark_infer.models.ref import ModelRef
from spark_infer.models.sample_rows import Sample
from spark_infer.models.stamps import stamped_schema
from spark_infer.runtime.call_in_thread import Wait
from spark_infer.spark.cancellation import Tagged
from spark_infer.spark.compilation import first_rows, with_compiled
from spark_infer.spark.preflight import check_local_python, check_workers
from spark_infer.spark.prepare import Prepared, prepare
from spark_infer.spark.resources.stage import plan_stage
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.session_settings import setting
from spark_infer.spark.ship import ship, workers_are_here
from spark_infer.spark.starting_session import started
from spark_infer.spark.tables.delta.changes import changes
from spark_infer.spark.tables.delta.merging import refuse_doubled_keys, refuse_unrecognisable
from spark_infer.spark.tables.frames import filtered, read
from spark_infer.spark.tables.joined_rows import joined_rows
from spark_infer.spark.tables.publish_staged import PublishStagedRows
from spark_infer.spark.tables.register import ThenRegistered
from spark_infer.spark.tables.settings import SessionConf, refuse_lossy_settings
from spark_infer.spark.tables.spark_formats import spark_format_of
from spark_infer.spark.tables.spark_tables import SparkTables
from spark_infer.spark.tables.stored.asked_rows import store_rows
from spark_infer.spark.tables.write import is_committed, refresh
from spark_infer.spark.worker_stacks import worker_stacks
from spark_infer.tables.bookmark import Span
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import open_snapshot
from spark_infer.tables.spark_json import plain, unsupported

if TYPE_CHECKING:
    from spark_infer.engines.base import RunningStream, TakeBatch
    from spark_infer.spark import DataFrame, SparkSession

T = TypeVar("T")

logger = logging.getLogger(__name__)


class SparkEngine:
    """Prepares and runs one job on a Spark session.

    Args:
        session: The session, which may still be starting; whatever needs it waits for it.
        resources: What one task of the scoring stage takes.
    """

    planes = ("direct", "spark")

    def __init__(self, session: Future[SparkSession], resources: ResourceOptions) -> None:
        self._session = session
        self._read: Callable[[], DataFrame]
        self._removed: DataFrame | None
        self._resources = ResourceOptions.model_validate(resources.model_dump())

    @property
    def is_starting(self) -> bool:
        """Whether Spark is still starting."""
        return not self._session.done()

    @property
    def _spark(self) -> SparkSession:
        return self._session.result()

    @property
    def _rows(self) -> DataFrame:
        return self._read()

    @cached_property
    def tables(self) -> SparkTables:
        """What the session knows of tables."""
        return SparkTables(self._spark)

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Turn what Spark raises into errors that say what to do, and decide what tasks get, before any can wait.

        Raises:
            EnvironmentProblem: Settings of the session can lose or double rows.
        """
        with while_planning():
            refuse_lossy_settings(self._spark)
            self._stage = plan_stage(self._spark, self._resources)
            yield

    def call_in_thread(self, work: Callable[[], T], wait: Wait[T]) -> T:
        """Call in a thread whose actions of Spark are cancelled when the wait is given up."""
        return Tagged(self._spark, f"spark_infer-{uuid.uuid4().hex}").call(work, wait)

    def slots(self) -> int | None:
        """Return how many tasks run at once; None where no executor has registered."""
        return self._stage.slots(self._spark)

    def describe_slots(self, *, hosted: bool) -> tuple[str, ...]:
        """Say how many tasks and copies of the model there will be at once, and what stays idle."""
        return self._stage.describe(self._spark, hosted=hosted)

    def executor_shape(self) -> ExecutorShape:
        """Return what an executor has for its Python workers."""
        return self._stage.executor_shape(self._spark)

    def workers_are_here(self) -> bool:
        """Return whether the workers run on the driver's machine, as its user."""
        return workers_are_here(self._spark)

    def warnings(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return what the reader of a plan should know of the tasks' resources."""
        return self._stage.warnings()

    def conf(self) -> Mapping[str, str]:
        """Return the settings of the session that were set."""
        return SessionConf(self._spark)

    def open_source(self, source: SourceConfig, span: Span) -> Source:
        """Pin a source; Spark says what its columns are, unless a log does that has none of Spark's conditions."""
        snapshot = open_snapshot(self.tables, source, span)
        if snapshot.by_feed:
            changed = changes(self._spark, snapshot, span.keys)
            rows = filtered(changed.rows, snapshot, source)
            self._read, self._removed = lambda: rows, changed.left_out(rows) if span.removes else None
        else:
            joins = source.features and source.is_unstored
            rows_of = partial(joined_rows, self._spark) if joins else partial(read, self._spark, snapshot)
            self._read, self._removed = cache(partial(rows_of, source)), None
        # Spark takes seconds for its first look at a Delta table.
        by_log = snapshot.is_declared and source.condition is None
        schema = schema_of(snapshot) if by_log else to_arrow(self._rows.schema)
        # Those that Spark refuses to read come last, and are errors where they are needed.
        refused = [
            unsupported(name, f"{kind} in the files, which Spark does not read")
            for name, kind in snapshot.refused.items()
        ]
        store = partial(store_rows, self._rows) if source.is_unstored else None
        return Source(snapshot=snapshot, table=pa.schema([*plain(schema), *refused]), schema=schema, store=store)

    def match(self, ref: ModelRef, source: Source, config: JobConfig, store: ModelStore, *, loads: bool) -> Prepared:
        """Match a model to a source in this session."""
        scoring = prepare(
            self._spark,
            ref,
            source.table,
            # A plain copy: what the job file took from the environment does not travel to the workers.
            ScoreOptions.model_validate(config.score.model_dump()),
            store=store,
            stage=self._stage,
            keep=source.kept(config.target.keep),
            output=config.target.output,
            rows=lambda: self._rows,
            loads=loads,
        )
        check_local_python(self._spark, scoring.recipe)
        return scoring

    def choose_plane(self, config: JobConfig, source: Source, scoring: Prepared) -> Plane:
        """Have the workers read the files themselves where that gives the rows that Spark would read."""
        return choose_plane(
            partial(setting, self._spark),
            config,
            source.snapshot,
            table=scoring.table,
            columns=scoring.recipe.read_columns(scoring.table),
            schema=source.schema,
            slots=self.slots(),
            sparkml=scoring.sparkml is not None,
        )

    def compiled(self, scoring: Prepared, source: Source, plane: Plane) -> Prepared:
        """Compile the model where the job asks for it; Spark reads the rows to compare where workers cannot."""
        return with_compiled(self._spark, scoring, partial(self._sample, scoring, plane))

    def _sample(self, scoring: Prepared, plane: Plane) -> Sample:
        """Read rows on the driver, without Spark, where the workers read; else by one small job of Spark."""
        if plane.scan is not None and plane.tasks:  # there are none as long as the rows are not stored
            try:
                return from_files(plane.scan, plane.tasks)
            except SparkMustReadError:  # the run will find that out, and start again with Spark
                pass
        return first_rows(self._rows, scoring.recipe.read_columns(scoring.table), scoring.table)

    def target_schema(self, config: JobConfig, source: Source, scoring: Prepared, plane: Plane) -> pa.Schema:
        """Return the columns that the target will have; of the spark plane as Spark analyses them."""
        if plane.name == "spark":
            return to_arrow(scored_rows(self._rows, config, scoring, plane).frame.schema)
        recipe = scoring.recipe
        return stamped_schema(config, recipe.ref, recipe.scored_schema(source.schema))

    def check_writers(self, plane: Plane, write: WritePlan) -> None:
        """Accept every write that is recognised afterwards: what workers cannot write, Spark can."""
        if write.merges:
            refuse_unrecognisable(self._spark, write.location)

    def preview(self, job: MatchedJob, selection: Selection) -> Generator[Previewed]:
        """Score some rows by tasks of Spark; Spark reads them where a worker meets a file that only Spark can read."""
        self._bring_model(job)
        answered = False
        try:
            for each in preview(self._rows, job, selection):
                answered = True
                yield each
        except SparkMustReadError as error:
            if answered or job.config.plane != "auto":
                raise
            yield from preview(self._rows, replace(job, plane=without_direct(job.plane, error.what)), selection)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have crashed workers say where they were; say that Spark is gone, where it is."""
        with while_running(), worker_stacks(self._spark):
            yield

    def prepare_workers(self, job: PreparedJob) -> dict[str, float]:
        """Check one worker of a cluster, send the model's files, and check the keys of a merge."""
        seconds = self._bring_model(job)
        if job.write.keys and job.start is not None and job.start.found.plan is None and job.snapshot.since is None:
            refuse_doubled_keys(self._rows, job.write.keys, job.snapshot.location.name)
        return seconds

    def _bring_model(self, job: MatchedJob) -> dict[str, float]:
        if job.by_workers:
            check_workers(self._spark, job.recipe)
        begun = time.perf_counter()
        ship(self._spark, job.scoring.store, job.files)
        return {} if job.files.way == "same_node" else {"ship": time.perf_counter() - begun}

    def score_units(self, job: PreparedJob, run: UnitRun, on_progress: OnProgress | None) -> Score:
        """Score units by tasks of Spark whose workers read and write."""
        return SparkUnits(self._spark, job, run, on_progress)

    def publisher(self, job: PreparedJob, work: PublishWork) -> Publisher:
        """Publish as the format does in a session."""
        plan, start = work.plan, job.start
        if start is not None and start.way.stages_units and is_committed(plan):
            return PublishStagedRows(self._spark, work)
        publisher = spark_format_of(plan.location.format).publisher(self._spark, work, self._removed)
        return ThenRegistered(publisher, self._spark, plan) if plan.is_registered_last else publisher

    def whole_writer(self, job: PreparedJob, on_progress: OnProgress | None) -> SparkWriter:
        """Have Spark score and write the whole job."""
        if job.quarantine is not None:
            from spark_infer.engines.spark.quarantined_write import QuarantiningWriter

            return QuarantiningWriter(self._rows, job, on_progress)
        return SparkWriter(self._rows, job, on_progress)

    def start_stream(self, job: PreparedJob, checkpoint: str, take: TakeBatch) -> RunningStream:
        """Start a streaming query, whose micro-batches are sources of engines like this one."""
        from spark_infer.engines.spark.stream import SparkStream, stream_rows

        rows = stream_rows(self._spark, self._rows.schema, job)
        return SparkStream(rows, job, checkpoint, self._of_batch, take)

    def _of_batch(self, rows: DataFrame) -> SparkEngine:
        """An engine for these rows, in their session."""
        engine = SparkEngine(started(rows.sparkSession), self._resources)
        engine._read, engine._removed, engine._stage = lambda: rows, None, self._stage
        return engine

    def without_direct(self, job: PreparedJob, error: SparkMustReadError) -> PreparedJob:
        """Return the same job on the spark plane."""
        if job.plane.name != "direct" or job.config.plane != "auto" or job.bookmark is not None:
            raise error
        if job.quarantine is not None:
            error.next_step = "use on_error: null, with which Spark can read the rows."
            raise error
        if job.cache is not None:
            error.next_step = "take `cache` out, with which Spark can read the rows."
            raise error
        if job.summary is not None:
            error.next_step = "take `aggregate` out, with which Spark can read the rows."
            raise error
        if job.start is not None and job.start.found.ledger.done():
            error.next_step = "set plane: spark and --new-run; rows of units that were published stay in the target."
            raise error
        logger.warning("%s Spark reads all of it now.", error.what)
        return replace(
            job,
            plane=without_direct(job.plane, error.what),
            start=None if job.start is None else job.start.restarted().whole(),
            notes=(*job.notes, f"the run began again on the spark plane: {error.what}"),
        )

    def refresh(self, write: WritePlan) -> None:
        """Have the session see the new files of a Parquet table."""
        refresh(self._spark, write)
