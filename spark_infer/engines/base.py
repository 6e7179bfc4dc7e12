"""What an engine is: which slots it has, how it reads a source and matches a model to it, how it does the work.

`job/prepare.py` and `job/run.py` drive every engine through `Engine`; they know none by name. A new engine is one more
class with these methods, and one more line in `job/choose_engine.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from spark_infer.config import JobConfig, SourceConfig
from spark_infer.core.stats import TaskTotals
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import MatchedJob, PreparedJob, Source
from spark_infer.engines.preview_rows import Previewed, Selection
from spark_infer.engines.unit_progress import OnProgress
from spark_infer.engines.unit_run import Score, UnitRun
from spark_infer.errors import SparkMustReadError
from spark_infer.models.backends.spec import Described
from spark_infer.models.files.distribution import ModelFiles
from spark_infer.models.files.store import ModelStore
from spark_infer.models.hosting import ExecutorShape
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.runtime.call_in_thread import Wait
from spark_infer.tables.bookmark import Span
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.table_lookup import TableLookup


class Scoring(Protocol):
    """A model matched to a table: how its rows are scored."""

    @property
    def recipe(self) -> Recipe:
        """How batches are scored; plain values."""

    @property
    def table(self) -> pa.Schema:
        """All columns of the source."""

    @property
    def files(self) -> ModelFiles:
        """How the model's files reach the workers."""

    @property
    def store(self) -> ModelStore:
        """The store of this machine, which holds the model."""

    @property
    def loads(self) -> bool:
        """Whether the model may be loaded here, which runs its author's code."""

    @property
    def tried_here(self) -> bool:
        """Whether the model can be tried on this machine as the workers run it."""

    @property
    def like_workers(self) -> bool:
        """Whether the workers run the model on the kind of device that this process has."""

    def load_here(self) -> Described:
        """Load the model in this process, once; without `loads`, stand for it.

        Raises:
            ModelRefusedError: It does not load.
        """


S = TypeVar("S", bound=Scoring)
T = TypeVar("T")


class WholeWriter(Protocol):
    """Scores and writes a whole job in one action of the engine's own: only where workers cannot write."""

    @property
    def stages(self) -> bool:
        """Whether the files are written beside the target first, and then moved into their place."""

    def count_rows(self, most: int) -> int:
        """Return how many rows there are to score, before any is; no more than are asked for."""

    def stage(self, run: UnitRun) -> Score:
        """Return what scores the run's one unit into Parquet files beside the target."""

    def write(
        self, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> tuple[Written, TaskTotals | None]:
        """Score and write in one action; returns what was written, and what scoring it cost where that is known.

        Args:
            facts: What the target's history is to say of the run.
            txn: Application and version that the target takes once.
        """

    def make_empty(self, facts: Mapping[str, str | int | float]) -> None:
        """Make the target, which does not exist yet, without rows."""

    def written_before(self, facts: Mapping[str, str | int | float]) -> Written | None:
        """Return what `write` wrote in an earlier command of the same run; None where it wrote nothing."""

    def notes(self) -> tuple[str, ...]:
        """Return what the reader of the report should know of the files."""


TakeBatch = Callable[["Engine[Any]", str, int], None]
"""Scores and writes a micro-batch: by an engine whose source are its rows; with the stream's name, and its number."""


class RunningStream(Protocol):
    """A stream that was started."""

    @property
    def query(self) -> Any:
        """What the engine itself has to follow and stop it; of Spark its `StreamingQuery`."""

    def wait(self) -> None:
        """Wait for its end, and stop it where the wait is given up.

        Raises:
            RunError: It failed.
        """


class Engine(Protocol[S]):
    """Where the tasks of one job run: it prepares the job first, then runs it."""

    @property
    def planes(self) -> tuple[str, ...]:
        """The planes that it has."""

    @property
    def is_starting(self) -> bool:
        """Whether it is still starting, beside which other work of this process costs no time."""

    @property
    def tables(self) -> TableLookup:
        """What it knows of tables beyond the files that this process can read."""

    def slots(self) -> int | None:
        """Return how many tasks run at once; None where that is not known."""

    def executor_shape(self) -> ExecutorShape:
        """Return what an executor has for the workers of the scoring, as far as that is known."""

    def describe_slots(self, *, hosted: bool) -> tuple[str, ...]:
        """Say how many tasks and copies of the model there will be at once, and what stays idle."""

    def workers_are_here(self) -> bool:
        """Return whether the workers run on this machine."""

    def warnings(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return what the reader of a plan should know of this engine and this source."""

    def conf(self) -> Mapping[str, str]:
        """Return the settings that decide how tables are read and written, those that were set."""

    # What a plan needs.

    def planning(self) -> AbstractContextManager[None]:
        """Turn what the engine raises while a job is planned into errors that say what to do."""

    def call_in_thread(self, work: Callable[[], T], wait: Wait[T]) -> T:
        """Call in a thread of its own; what it started at the engine is stopped when the wait raises."""

    def open_source(self, source: SourceConfig, span: Span) -> Source:
        """Pin a source and find its columns; reads no rows.

        Args:
            source: What to read.
            span: Which of its rows.

        Raises:
            SourceError: It cannot be read as asked for.
        """

    def match(self, ref: ModelRef, source: Source, config: JobConfig, store: ModelStore, *, loads: bool) -> S:
        """Match a model to a source; starts no task.

        Raises:
            PlanError: They do not fit together, or this engine cannot run the model.
        """

    def choose_plane(self, config: JobConfig, source: Source, scoring: S) -> Plane:
        """Decide who reads the rows.

        Raises:
            PlanError: Nobody can as asked for.
        """

    def compiled(self, scoring: S, source: Source, plane: Plane) -> S:
        """Return the scoring by the compiled model, where the job asks for one.

        Raises:
            PlanError: The model cannot be compiled, or the compiled one answers otherwise.
        """

    def target_schema(self, config: JobConfig, source: Source, scoring: S, plane: Plane) -> pa.Schema:
        """Return the columns that the target will have.

        Raises:
            PlanError: Two of them have one name.
        """

    def check_writers(self, plane: Plane, write: WritePlan) -> None:
        """Refuse a write that this engine cannot do.

        Raises:
            PlanError: It cannot, with the reason.
        """

    # What a preview needs.

    def preview(self, job: MatchedJob, selection: Selection) -> Generator[Previewed]:
        """Score some rows on the workers and hand them back, task by task in the order of the source; write nothing.

        Args:
            job: The job.
            selection: Which rows; the caller stops when it has enough of the first ones.
        """

    # What a run needs.

    def running(self) -> AbstractContextManager[None]:
        """Hold what the workers need while a job runs, and turn what the engine raises into errors of ours."""

    def prepare_workers(self, job: PreparedJob) -> dict[str, float]:
        """Check the workers and bring the model's files to them; returns the wall seconds of its steps.

        Raises:
            EnvironmentProblem: A worker lacks a library.
        """

    def score_units(self, job: PreparedJob, run: UnitRun, on_progress: OnProgress | None) -> Score:
        """Return what scores units of scan tasks, whose workers read and write."""

    def publisher(self, job: PreparedJob, work: PublishWork) -> Publisher:
        """Return what makes scored files part of the target."""

    def whole_writer(self, job: PreparedJob, on_progress: OnProgress | None) -> WholeWriter:
        """Return what scores and writes the whole job, where workers cannot write.

        Raises:
            PlanError: This engine has nothing but workers.
        """

    def start_stream(self, job: PreparedJob, checkpoint: str, take: TakeBatch) -> RunningStream:
        """Start to hand over the rows of the source, and those that come, in micro-batches, one after the other.

        Args:
            job: The job.
            checkpoint: The full URI of the folder that says how far the stream is.
            take: Called for each of them from another thread; a batch that it did not end comes again.

        Raises:
            PlanError: This engine, or this session, has no streams.
        """

    def without_direct(self, job: PreparedJob, error: SparkMustReadError) -> PreparedJob:
        """Return the job on the spark plane, after a worker met a file that only Spark can read.

        Raises:
            SparkMustReadError: There is no other way; the error, with what to do.
        """

    def refresh(self, write: WritePlan) -> None:
        """Have the engine's session see what was written."""
