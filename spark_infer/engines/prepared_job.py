"""What the preparation of a job comes to, whichever engine runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from spark_infer.config import JobConfig
from spark_infer.config.params import shown_params
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.plane import Plane
from spark_infer.models.backends.choose_backend import SPARK
from spark_infer.models.files.distribution import ModelFiles
from spark_infer.models.hosting import HostingChoice
from spark_infer.models.recipe import Recipe
from spark_infer.models.rehearsal import Rehearsal
from spark_infer.tables.bookmark import BookmarkMove
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import type_names
from spark_infer.tables.storage import Storage

if TYPE_CHECKING:
    from spark_infer.engines.base import Engine
    from spark_infer.job.cache_plan import CachePlan
    from spark_infer.job.quarantine_plan import QuarantinePlan
    from spark_infer.job.summary_plan import SummaryPlan
    from spark_infer.job.units.quarantined_rows import QuarantinedRows
    from spark_infer.job.units.start import Start


@dataclass(frozen=True, kw_only=True)
class Source:
    """The source of a job, pinned.

    Attributes:
        snapshot: Its version, files and partitions.
        schema: All its columns, as Spark has them (`tables.spark_json`).
        table: Those that may be asked for, as workers get them; one that cannot be read says why.
        store: Stores its rows in a folder, from where they are scored; None for a source that is read where it is.
    """

    snapshot: Snapshot
    schema: pa.Schema
    table: pa.Schema
    store: Callable[[Storage], Sequence[WrittenFile]] | None = None

    def kept(self, keep: Literal["all"] | Sequence[str]) -> Literal["all"] | Sequence[str]:
        """Return the columns that pass through to the target: of a folder of files without the content."""
        left_out = self.snapshot.kept_if_named
        return keep if keep != "all" or not left_out else [name for name in self.table.names if name not in left_out]


@dataclass(frozen=True, kw_only=True)
class MatchedJob:
    """A job whose model and source are known to fit together; which run it means is not looked at.

    Attributes:
        config: The job.
        engine: What prepared it, and runs it.
        source: The source, pinned.
        scoring: The model, matched to the source.
        how: How batches reach the model.
        acceleration: How the model is asked faster than by its library alone, or why it is not; empty where no way is
            known.
        by_row: Whether the model is known to look at each row by itself.
        batch_rows: The most rows of a model batch.
        hosting: Where workers obtain the model, and why.
        folder: The model's files here.
        plane: Who reads the rows, who writes them, and why.
        schema: The target's columns.
        rehearsal: What became of trying the model here.
        tried: The same as facts that a later run of the job may believe; empty where it may not.
        warnings: What the reader of plan and report should know, a sentence each.
        started_at: When preparing began, UTC; also the time on every scored row.
        seconds: Wall seconds of `resolve` and `plan`.
        deadline: When all must be done.
    """

    config: JobConfig
    engine: Engine[Any]
    source: Source
    scoring: Any
    how: str
    acceleration: str
    by_row: bool
    batch_rows: int
    hosting: HostingChoice
    folder: Path
    plane: Plane
    schema: pa.Schema
    rehearsal: Rehearsal
    tried: Mapping[str, Any]
    warnings: tuple[str, ...]
    started_at: datetime
    seconds: dict[str, float]
    deadline: Deadline

    @property
    def snapshot(self) -> Snapshot:
        """The source's version, files and partitions."""
        return self.source.snapshot

    @property
    def nothing_new(self) -> bool:
        """Whether the source has no row that is new since the bookmark of the target, or none is in the quarantine."""
        return self.snapshot.nothing_new

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
        return type_names(self.schema)

    @property
    def rows(self) -> int | None:
        """Rows to score; only a condition on the rows makes them unknown before they are read."""
        return None if self.config.source.condition else self.snapshot.rows


@dataclass(frozen=True, kw_only=True)
class PreparedJob(MatchedJob):
    """A job with nothing left to decide; nothing has run.

    Attributes:
        run_id: Unique name of the run.
        write: What the write will do.
        quarantine: The table for rows that the model fails for; None where there is none.
        cache: The table that predictions are kept in; None where there is none.
        summary: The table for the summary of the run; None where there is none.
        start: The run to begin or to go on with; None where no ledger of it can be kept.
        bookmark: How an incremental run moves the bookmark of its target; None for other runs.
        again: The quarantined rows that are scored again; None for runs that score their source.
        new_run: Whether the user wants a new run whatever was done before.
        notes: What the reader of the report should know besides.
    """

    run_id: str
    write: WritePlan
    quarantine: QuarantinePlan | None = None
    cache: CachePlan | None = None
    summary: SummaryPlan | None = None
    start: Start | None
    bookmark: BookmarkMove | None
    again: QuarantinedRows | None = None
    new_run: bool = False
    notes: tuple[str, ...] = ()
