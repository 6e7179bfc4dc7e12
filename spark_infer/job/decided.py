"""What is decided of a table job before anything runs, whichever engine runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_infer.config import JobConfig, PartitionValue
from spark_infer.config.params import shown_params
from spark_infer.job.planes.choice import Plane
from spark_infer.job.units.deadline import Deadline
from spark_infer.job.units.start import Start
from spark_infer.models.backends.choice import SPARK
from spark_infer.models.files.store import ModelStore
from spark_infer.models.files.travel import ModelFiles
from spark_infer.models.pins import differences
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.models.registry.resolve import resolve
from spark_infer.models.rehearsal import Rehearsal
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A job with nothing left to decide; what its plan and its report tell.

    Attributes:
        config: The job.
        run_id: Unique name of the run.
        snapshot: The source, pinned.
        recipe: How its rows are scored.
        table: All columns of the source, as Arrow has them.
        how: How batches reach the model.
        by_row: Whether the model is known to look at each row by itself.
        batch_rows: The most rows of a model batch.
        files: How the model's files reach the workers.
        folder: The model's files here.
        plane: Who reads the rows, who writes them, and why.
        schema: The target's columns.
        write: What the write will do.
        start: The run to begin or to go on with; None where nobody can keep account of it.
        rehearsal: What became of trying the model here.
        told: Says how many tasks run at once, and what stays idle; a sentence each.
        warnings: What the reader of plan and report should know, a sentence each.
        notes: What the reader of the report should know besides.
        started_at: When preparing began, UTC; also the time on every scored row.
        seconds: Wall seconds of `resolve` and `plan`.
        deadline: When all must be done.
    """

    config: JobConfig
    run_id: str
    snapshot: Snapshot
    recipe: Recipe
    table: pa.Schema
    how: str
    by_row: bool
    batch_rows: int
    files: ModelFiles
    folder: Path
    plane: Plane
    schema: StructType
    write: WritePlan
    start: Start | None
    rehearsal: Rehearsal
    told: Callable[[], tuple[str, ...]]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    started_at: datetime
    seconds: dict[str, float]
    deadline: Deadline

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


def pinned(config: JobConfig, store: ModelStore) -> ModelRef:
    """Return the exact model that a job's URI means now.

    Raises:
        PlanError: It cannot be found, fetched or read.
    """
    model = config.model
    return resolve(
        model.uri,
        tracking_uri=model.tracking_uri,
        registry_uri=model.registry_uri,
        store=store,
        download_seconds=model.download_seconds,
    )


def partitions_named(values: Mapping[str, Sequence[PartitionValue]]) -> tuple[str, ...]:
    """Say which table partitions are meant, a condition for each column."""
    return tuple(f"{column} in {list(each)}" for column, each in values.items())


def text_stamps(config: JobConfig, ref: ModelRef) -> dict[str, str]:
    """The columns that say which model scored a row, and what they say."""
    return ref.texts(config.target.model_name_column, config.target.model_version_column)


def recipe_warnings(recipe: Recipe, store: ModelStore) -> tuple[str, ...]:
    """What the reader of plan and report should know of a model, a sentence each."""
    ref, load = recipe.ref, recipe.load
    return (*recipe.warnings(), *differences(ref, load.backend, store.path(ref.digest)))


def constants(config: JobConfig, ref: ModelRef, started_at: datetime) -> dict[str, Any]:
    """All columns that have one value in every row of a run."""
    at = config.target.scored_at_column
    return text_stamps(config, ref) | ({} if at is None else {at: started_at})
