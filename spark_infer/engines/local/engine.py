"""Engine `local`: processes of this machine, without Java; what only Spark can do is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar

import pyarrow as pa

from spark_infer.config import JobConfig, ResourceOptions, ScoreOptions, SourceConfig
from spark_infer.core.result_type import check_result_type
from spark_infer.engines.local.ddl import parse_ddl
from spark_infer.engines.local.preview_tasks import preview
from spark_infer.engines.local.process import MODULE
from spark_infer.engines.local.units import LocalUnits
from spark_infer.engines.local.where import refuse_condition
from spark_infer.engines.parity_rows import from_files
from spark_infer.engines.plane import Plane, choose_plane
from spark_infer.engines.prepared_job import MatchedJob, PreparedJob, Source
from spark_infer.engines.preview_rows import Previewed, Selection
from spark_infer.engines.unit_progress import OnProgress
from spark_infer.engines.unit_run import Score, UnitRun
from spark_infer.errors import PlanError, SparkMustReadError, Together
from spark_infer.models.backends.choose_backend import SPARK
from spark_infer.models.backends.spec import LoadedModel, LoadSpec, NotLoaded
from spark_infer.models.code import code_folders
from spark_infer.models.compile.gate import compile_recipe
from spark_infer.models.driver import load_here
from spark_infer.models.files.distribution import ModelFiles, decide
from spark_infer.models.files.store import ModelStore
from spark_infer.models.hosting import ExecutorShape
from spark_infer.models.pins import warn_once
from spark_infer.models.recipe import Recipe, make_recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.requirements import refuse_unmet, requirements, worker_modules
from spark_infer.models.stamps import refuse_unknown_columns, stamped_schema
from spark_infer.runtime.call_in_thread import Wait, call_in_thread
from spark_infer.runtime.fork_server import start_fork_server
from spark_infer.runtime.local_resources import LocalResources, find_local_resources
from spark_infer.runtime.memory import whole_memory_bytes
from spark_infer.tables.bookmark import Span
from spark_infer.tables.formats import format_of
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.schema import schema_of
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.source import open_snapshot
from spark_infer.tables.source_columns import refuse_case_twins, refuse_unsupported
from spark_infer.tables.spark_json import plain

if TYPE_CHECKING:
    from spark_infer.engines.base import TakeBatch

T = TypeVar("T")

_LARGE_BYTES = 16 * 2**30
_NEXT_STEP = "set engine: spark."


@dataclass(frozen=True, kw_only=True)
class LocalScoring:
    """A model matched to a table, for processes of this machine; ``loads`` as in `Scoring`."""

    recipe: Recipe
    table: pa.Schema
    store: ModelStore
    loads: bool
    tried_here: bool = True
    like_workers: bool = True

    @property
    def files(self) -> ModelFiles:
        """The processes read the store of this machine."""
        digest = self.recipe.load.files(self.recipe.ref.digest)
        return decide("auto", digest, self.store, workers_here=True)

    def load_here(self) -> LoadedModel | NotLoaded:
        """Load the model in this process, once."""
        return self.load(self.recipe.load)

    def load(self, spec: LoadSpec) -> LoadedModel | NotLoaded:
        """Load what a recipe says."""
        return _load(self.recipe.ref, self.store, self.recipe.options.cache_bytes, spec, loads=self.loads)


class LocalEngine:
    """Prepares and runs one job in processes of this machine.

    Args:
        resources: What one process takes.
        shared_by: How many jobs run at once on this machine.
        runs: Whether the job is to run when it is prepared: its processes get ready meanwhile.
    """

    planes = ("direct",)
    is_starting = False

    def __init__(self, resources: ResourceOptions, *, shared_by: int = 1, runs: bool = False) -> None:
        self._runs = runs
        self.tables = LocalTables()
        self._shared_by = shared_by
        self._resources = ResourceOptions.model_validate(resources.model_dump())

    @property
    def here(self) -> LocalResources:
        """What this machine gives.

        Raises:
            ResourcesError: It can never give a process what was asked for.
        """
        return find_local_resources(self._resources, shared_by=self._shared_by)

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Look at this machine first."""
        find_local_resources(self._resources)
        self._import_ahead([MODULE])
        yield

    def _import_ahead(self, modules: Sequence[str]) -> None:
        """Have a process import what workers need; not for GPUs: CUDA that an import looked at cannot be forked."""
        if self._runs and not self._resources.gpu:
            start_fork_server(self.here.cpus, modules)

    def call_in_thread(self, work: Callable[[], T], wait: Wait[T]) -> T:
        """Call in a thread; one that is given up ends with what it waits for."""
        return call_in_thread(work, wait)

    def slots(self) -> int:
        """Return how many processes run at once."""
        return self.here.processes

    def describe_slots(self, *, hosted: bool) -> tuple[str, ...]:
        """Say how many processes and copies of the model there will be at once, and what stays idle."""
        return self.here.describe(hosted=hosted)

    def executor_shape(self) -> ExecutorShape:
        """Return what this machine has for its processes."""
        here, memory = self.here, whole_memory_bytes()
        return ExecutorShape(
            tasks=here.processes, cpus=here.cpus, python_bytes=memory, whole_bytes=memory, is_here=True
        )

    def workers_are_here(self) -> bool:
        """Return True: there are no others."""
        return True

    def warnings(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Warn of a source that is large for one machine."""
        if (size_bytes := snapshot.size_bytes or 0) < _LARGE_BYTES:
            return ()
        return (
            f"the source has {size_bytes / 2**30:,.0f} GiB and one machine reads it: engine: spark spreads it over a "
            "cluster",
        )

    def conf(self) -> Mapping[str, str]:
        """Return no settings: the defaults hold."""
        return {}

    def open_source(self, source: SourceConfig, span: Span) -> Source:
        """Pin a source, and read its columns from the files."""
        snapshot = open_snapshot(self.tables, source, span)
        schema = schema_of(snapshot)
        return Source(snapshot=snapshot, table=plain(schema), schema=schema)

    def match(
        self, ref: ModelRef, source: Source, config: JobConfig, store: ModelStore, *, loads: bool
    ) -> LocalScoring:
        """Match a model to a source; Spark's own models are refused."""
        ahead = loads and not code_folders(ref.mlmodel, store.path(ref.digest))
        if ahead:
            self._import_ahead(worker_modules(ref.mlmodel))
        # A plain copy: what the job file took from the environment does not travel to the workers.
        options = ScoreOptions.model_validate(config.score.model_dump())
        together = Together()
        with together.check():
            refuse_condition(config, source.snapshot, source.table)
        with together.check():
            recipe = make_recipe(
                ref,
                source.table,
                options,
                folder=store.path(ref.digest),
                load_model=partial(_load, ref, store, options.cache_bytes, loads=loads),
                keep=source.kept(config.target.keep),
                output=config.target.output,
                result_schema=_result_schema(options.result_type),
                threads=self.here.cpus,
                show_values=os.environ.get("SPARK_INFER_SHOW_VALUES") == "1",
            )
        if together:
            with together.check():
                refuse_unknown_columns(config, ref, source.table)
        together.refuse()
        if recipe.load.backend == SPARK:
            raise _spark_runs_it(ref)
        if ahead:
            self._import_ahead(worker_modules(ref.mlmodel, recipe.load.backend))
        refuse_unmet(requirements(ref.mlmodel, recipe.load.backend))
        warn_once(ref, recipe.load.backend, store.path(ref.digest))
        refuse_unsupported(source.table, recipe.read_columns(source.table))
        refuse_case_twins(source.table, recipe.read_columns(source.table))
        return LocalScoring(recipe=recipe, table=source.table, store=store, loads=loads)

    def choose_plane(self, config: JobConfig, source: Source, scoring: LocalScoring) -> Plane:
        """Have processes read the files themselves; what only Spark reads is refused."""
        snapshot = source.snapshot
        plane = choose_plane(
            lambda name: "",
            config.model_copy(update={"plane": "auto"}),
            snapshot,
            table=source.table,
            columns=scoring.recipe.read_columns(source.table),
            schema=source.schema,
            slots=self.slots(),
            sparkml=False,
            beyond_spark=True,
        )
        if plane.name == "spark":
            raise PlanError(
                f"Only Spark can read {snapshot.location.name} as it should be read, and engine `local` runs without "
                "it.",
                details=[plane.why],
                next_step=_NEXT_STEP,
            )
        return replace(plane, why="by processes of this machine")

    def compiled(self, scoring: LocalScoring, source: Source, plane: Plane) -> LocalScoring:
        """Compile the model where the job asks for it."""
        recipe = scoring.recipe
        if recipe.options.compile is None or plane.scan is None:
            return scoring
        loaded = scoring.load_here()
        if isinstance(loaded, NotLoaded):
            return scoring
        recipe = compile_recipe(recipe, loaded, scoring.store, partial(from_files, plane.scan, plane.tasks))
        refuse_unmet(requirements(recipe.ref.mlmodel, recipe.load.backend))
        return replace(scoring, recipe=recipe)

    def target_schema(self, config: JobConfig, source: Source, scoring: LocalScoring, plane: Plane) -> pa.Schema:
        """Return the columns that the target will have."""
        recipe = scoring.recipe
        return stamped_schema(config, recipe.ref, recipe.scored_schema(source.schema))

    def check_writers(self, plane: Plane, write: WritePlan) -> None:
        """Refuse what only Spark can write."""
        if plane.sink is None:
            raise PlanError(
                f"Only Spark can write {write.location.name} as it should be written, and engine `local` runs without "
                "it.",
                details=[plane.writes_why],
                next_step=_NEXT_STEP,
            )

    def preview(self, job: MatchedJob, selection: Selection) -> Generator[Previewed]:
        """Score some rows in processes of this machine."""
        return preview(job, selection, self.here)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold nothing: processes end with the units that they score."""
        yield

    def prepare_workers(self, job: PreparedJob) -> dict[str, float]:
        """Do nothing: processes have this machine's libraries and files."""
        return {}

    def score_units(self, job: PreparedJob, run: UnitRun, on_progress: OnProgress | None) -> Score:
        """Score units in a pool of processes."""
        return LocalUnits(job, run, on_progress, self.here)

    def publisher(self, job: PreparedJob, work: PublishWork) -> Publisher:
        """Publish files by ourselves."""
        return format_of(work.plan.location.format).publisher(work)

    def whole_writer(self, job: PreparedJob, on_progress: OnProgress | None) -> NoReturn:
        """Refuse: there are only processes that read and write themselves."""
        raise PlanError("Engine `local` has only the direct plane.")

    def start_stream(self, job: PreparedJob, checkpoint: str, take: TakeBatch) -> NoReturn:
        """Refuse: only Spark follows a table."""
        raise PlanError("Engine `local` has no streams.", next_step=_NEXT_STEP)

    def without_direct(self, job: PreparedJob, error: SparkMustReadError) -> NoReturn:
        """Refuse: there is no other plane."""
        error.next_step = _NEXT_STEP
        raise error

    def refresh(self, write: WritePlan) -> None:
        """Do nothing: there is no session that has seen older files."""


def _result_schema(result_type: str | None) -> pa.Schema | None:
    return None if result_type is None else check_result_type(parse_ddl(result_type), result_type)


def _load(
    ref: ModelRef, store: ModelStore, cache_bytes: int, spec: LoadSpec, *, loads: bool
) -> LoadedModel | NotLoaded:
    if not loads:
        return NotLoaded()
    if spec.backend == SPARK:
        raise _spark_runs_it(ref)
    return load_here(spec, ref, store, cache_bytes)


def _spark_runs_it(ref: ModelRef) -> PlanError:
    return PlanError(
        f"{ref} is a Spark ML pipeline, which Spark itself runs, and engine `local` runs without it.",
        next_step=_NEXT_STEP,
    )
