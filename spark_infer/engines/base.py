"""What an engine is: which slots it has, how it reads a source and matches a model to it, how it does the work.

`job/prepare.py` and `job/run.py` drive every engine through `Engine`; they know none by name. A new engine is one more
class with these methods, and one more line in `job/engine.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pyarrow as pa

from spark_infer.config import JobConfig, SourceConfig
from spark_infer.config.params import shown_params
from spark_infer.core.threads import Wait
from spark_infer.core.totals import TaskTotals
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.plane import Plane
from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_progress import OnProgress
from spark_infer.errors import SparkMustReadError
from spark_infer.models.backends.choice import SPARK
from spark_infer.models.backends.spec import Described
from spark_infer.models.files.store import ModelStore
from spark_infer.models.files.travel import ModelFiles
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.rehearsal import Rehearsal
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.publishers.work import Publisher, PublishWork
from spark_infer.tables.scan.task import ScanTask
from spark_infer.tables.sink.spec import SinkSpec, WrittenFile
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

    from spark_infer.job.units.start import Start


@dataclass(frozen=True, kw_only=True)
class Source:
    """The source of a job, pinned.

    Attributes:
        snapshot: Its version, files and partitions.
        table: All its columns; those that cannot be read have the metadata ``unsupported``.
        schema: The same columns as Spark has them.
    """

    snapshot: Snapshot
    table: pa.Schema
    schema: StructType


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


@dataclass(frozen=True, kw_only=True)
class PreparedJob:
    """A job with nothing left to decide; nothing has run.

    Attributes:
        config: The job.
        engine: What prepared it, and runs it.
        run_id: Unique name of the run.
        source: The source, pinned.
        scoring: The model, matched to the source.
        how: How batches reach the model.
        by_row: Whether the model is known to look at each row by itself.
        batch_rows: The most rows of a model batch.
        folder: The model's files here.
        plane: Who reads the rows, who writes them, and why.
        schema: The target's columns.
        write: What the write will do.
        start: The run to begin or to go on with; None where no ledger of it can be kept.
        rehearsal: What became of trying the model here.
        warnings: What the reader of plan and report should know, a sentence each.
        notes: What the reader of the report should know besides.
        started_at: When preparing began, UTC; also the time on every scored row.
        seconds: Wall seconds of `resolve` and `plan`.
        deadline: When all must be done.
    """

    config: JobConfig
    engine: Engine[Any]
    run_id: str
    source: Source
    scoring: Any
    how: str
    by_row: bool
    batch_rows: int
    folder: Path
    plane: Plane
    schema: StructType
    write: WritePlan
    start: Start | None
    rehearsal: Rehearsal
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    started_at: datetime
    seconds: dict[str, float]
    deadline: Deadline

    @property
    def snapshot(self) -> Snapshot:
        """The source's version, files and partitions."""
        return self.source.snapshot

    @property
    def table(self) -> pa.Schema:
        """All columns of the source."""
        return self.source.table

    @property
    def recipe(self) -> Recipe:
        """How the source's rows are scored."""
        recipe: Recipe = self.scoring.recipe
        return recipe

    @property
    def files(self) -> ModelFiles:
        """How the model's files reach the workers."""
        files: ModelFiles = self.scoring.files
        return files

    @property
    def by_workers(self) -> bool:
        """Whether Python workers run the model; Spark runs a Spark ML pipeline itself."""
        return self.recipe.load.backend != SPARK

    @property
    def params(self) -> dict[str, Any]:
        """The model's inference parameters, for people to read."""
        return shown_params(self.recipe.load.params)

    @property
    def target_columns(self) -> dict[str, str]:
        """The columns that are written, and Spark's names of their types."""
        return {field.name: field.dataType.simpleString() for field in self.schema.fields}

    @property
    def rows(self) -> int | None:
        """Rows to score; only a condition on the rows makes them unknown before they are read."""
        return None if self.config.source.where else self.snapshot.rows


@dataclass(frozen=True, kw_only=True)
class UnitRun:
    """A run that was begun, as an engine sees it.

    Attributes:
        spec: What its tasks write; None where Spark writes.
        tasks: All its tasks, by number.
        units: How many units it has.
    """

    spec: SinkSpec | None
    tasks: tuple[ScanTask, ...]
    units: int

    def sink(self, session: str) -> SinkSpec:
        """What the tasks of one command write; its name is part of the files' names."""
        if self.spec is None:
            raise ValueError("Spark writes")
        return replace(self.spec, run_id=f"{self.spec.run_id}-{session}")

    def rows(self, units: Sequence[Unit]) -> int | None:
        """Rows of some units, where that is known."""
        counts = [unit.rows for unit in units]
        return None if None in counts else sum(filter(None, counts))


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What an engine reports of a unit when all of its tasks are done."""

    unit: Unit
    files: Sequence[WrittenFile]
    stats: Sequence[Mapping[str, Any]]
    seconds: float = 0.0


class Score(Protocol):
    """Has an engine score units into a folder, and yields each when it is done, in any order."""

    def __call__(
        self, units: Sequence[Unit], folder: Storage, session: str, wanted: Callable[[Unit], bool]
    ) -> Generator[Scored]:
        """Score; ``wanted`` is asked before a unit begins, since another driver may have done it meanwhile."""


class WholeWriter(Protocol):
    """Scores and writes a whole job in one action of the engine's own: only where workers cannot write."""

    @property
    def stages(self) -> bool:
        """Whether the files are written beside the target first, and then moved into their place."""

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

    def written_before(self, facts: Mapping[str, str | int | float]) -> Written | None:
        """Return what `write` wrote in an earlier command of the same run; None where it wrote nothing."""

    def notes(self) -> tuple[str, ...]:
        """Return what the reader of the report should know of the files."""


class Engine(Protocol[S]):
    """Where the tasks of one job run: it prepares the job first, then runs it."""

    @property
    def name(self) -> str:
        """As the job file has it."""

    @property
    def planes(self) -> tuple[str, ...]:
        """The planes that it has."""

    @property
    def tables(self) -> TableLookup:
        """What it knows of tables beyond the files that this process can read."""

    def slots(self) -> int | None:
        """Return how many tasks run at once; None where that is not known."""

    def describe_slots(self) -> tuple[str, ...]:
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

    def open_source(self, source: SourceConfig) -> Source:
        """Pin a source and find its columns; reads no rows.

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

    def target_schema(self, config: JobConfig, source: Source, scoring: S, plane: Plane) -> StructType:
        """Return the columns that the target will have.

        Raises:
            PlanError: Two of them have one name.
        """

    def check_writers(self, plane: Plane, write: WritePlan) -> None:
        """Refuse a write that this engine cannot do.

        Raises:
            PlanError: It cannot, with the reason.
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

    def without_direct(self, job: PreparedJob, error: SparkMustReadError) -> PreparedJob:
        """Return the job on the spark plane, after a worker met a file that only Spark can read.

        Raises:
            SparkMustReadError: There is no other way; the error, with what to do.
        """

    def refresh(self, write: WritePlan) -> None:
        """Have the engine's session see what was written."""
