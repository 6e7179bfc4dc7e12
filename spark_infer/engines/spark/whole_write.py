"""What Spark scores and writes, whole or unit by unit: where only Spark can read the rows, or write them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from spark_infer.config import JobConfig
from spark_infer.core.stats import TaskTotals
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.spark.direct import direct_frame
from spark_infer.engines.unit import Unit
from spark_infer.engines.unit_progress import OnProgress, UnitProgress
from spark_infer.engines.unit_run import Score, Scored, UnitRun
from spark_infer.models.stamps import text_stamps
from spark_infer.observe.progress import Progress
from spark_infer.spark.batches import batch_settings
from spark_infer.spark.cancellation import Tagged
from spark_infer.spark.dataframe import scored_frame
from spark_infer.spark.exceptions import translated
from spark_infer.spark.metering import Totals, free_name, metered
from spark_infer.spark.prepare import Prepared
from spark_infer.spark.stamp import stamped
from spark_infer.spark.tables.register import register
from spark_infer.spark.tables.settings import settings
from spark_infer.spark.tables.spark_formats import spark_format_of
from spark_infer.spark.tables.write import is_staged, size_notes, stage, staged_plan, write
from spark_infer.spark.tracking import tracking
from spark_infer.spark.wide_udf import crossing
from spark_infer.tables.plan import Written
from spark_infer.tables.predicate import these_partitions
from spark_infer.tables.storage import Storage

if TYPE_CHECKING:
    from spark_infer.spark import DataFrame

OnTasks = Callable[[int, int, float], None]

_ANY_TIME = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """What Spark will write, lazy, and the reader of what scoring it cost; good for one action."""

    frame: DataFrame
    totals: Totals


def scored_rows(
    rows: DataFrame,
    config: JobConfig,
    scoring: Prepared,
    plane: Plane,
    *,
    started_at: datetime | None = None,
) -> ScoredRows:
    """Return the scored rows of a source, with the columns that say which model scored them, and when.

    Args:
        rows: The source.
        config: The job.
        scoring: How rows are scored.
        plane: Who reads them.
        started_at: When the run began; None where only the schema of the frame is wanted.
    """
    frame, totals = _scored(rows, scoring, plane)
    column = config.target.scored_at_column
    at = None if column is None else (column, started_at or _ANY_TIME)
    return ScoredRows(frame=stamped(frame, text_stamps(config, scoring.recipe.ref), at=at), totals=totals)


def _scored(rows: DataFrame, scoring: Prepared, plane: Plane) -> tuple[DataFrame, Totals]:
    if scoring.sparkml is not None:  # no Python worker there that could measure
        return scored_frame(rows, scoring), lambda: None
    stats_column = free_name([*rows.columns, *scoring.recipe.outputs.names])
    if plane.name == "direct":
        return metered(direct_frame(rows, scoring, plane, stats_column=stats_column), stats_column)
    return metered(scored_frame(rows, scoring, stats_column=stats_column), stats_column)


class SparkWriter:
    """Scores and writes a whole job.

    Args:
        rows: The source.
        job: The job.
        on_progress: Called while tasks run.
    """

    def __init__(self, rows: DataFrame, job: PreparedJob, on_progress: OnProgress | None) -> None:
        self._source = rows
        self._spark = rows.sparkSession
        self._job = job
        self._on_progress = on_progress

    @property
    def stages(self) -> bool:
        """Whether what Spark writes are Parquet files beside the table, which a publisher makes part of it."""
        start = self._job.start
        return is_staged(self._job.write) or (start is not None and start.way.stages_units)

    def count_rows(self, most: int) -> int:
        """Count rows of the source in a small job of Spark; no more than are asked for."""
        return int(self._in_time(lambda: self._source.limit(most).count()))

    def stage(self, run: UnitRun) -> Score:
        """Have Spark write Parquet files beside the target, one unit of the run after the other."""
        return partial(self._stage, run)

    def write(
        self, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> tuple[Written, TaskTotals | None]:
        """Have Spark score and write in one action."""
        rows = self._rows()
        written: Written = self._in_time(partial(write, rows.frame, self._job.write, facts=facts, txn=txn))
        # Of a transaction that the table has taken before, Spark scores nothing, and would tell nothing for ever.
        is_skipped = txn is not None and written.version is None
        return written, None if is_skipped else rows.totals()

    def make_empty(self, facts: Mapping[str, str | int | float]) -> None:
        """Have Spark write no row, by which the table is made."""
        self._in_time(partial(write, self._rows(self._source.limit(0)).frame, self._job.write, facts=facts))

    def written_before(self, facts: Mapping[str, str | int | float]) -> Written | None:
        """Find the commit of an earlier command of the same run, where the table keeps one."""
        write = self._job.write
        written = spark_format_of(write.location.format).written_before(self._spark, write, facts)
        if written is not None and write.creates and write.location.table:
            register(self._spark, write)
        return written

    def notes(self) -> tuple[str, ...]:
        """Say whether files have the size that was asked for."""
        return size_notes(self._spark, self._job.write)

    def _rows(self, source: DataFrame | None = None, plane: Plane | None = None) -> ScoredRows:
        """The scored rows of a source; by default all that the job reads."""
        job, source = self._job, self._source if source is None else source
        return scored_rows(source, job.config, job.scoring, plane or job.plane, started_at=job.started_at)

    def _rows_of(self, unit: Unit) -> ScoredRows:
        plane = self._job.plane
        if not unit.tasks:
            return self._rows()
        if plane.name == "direct":
            return self._rows(plane=replace(plane, tasks=unit.tasks))
        return self._rows(self._source.where(these_partitions(unit.partitions, self._job.snapshot.types)))

    def _stage(
        self, run: UnitRun, units: Sequence[Unit], folder: Storage, session: str, wanted: Callable[[Unit], bool]
    ) -> Generator[Scored]:
        progress = UnitProgress(units, run.units, run.rows(units), self._on_progress)
        plan, before = staged_plan(self._job.write), set[str]()
        for unit in filter(wanted, units):
            begin, rows, last = time.perf_counter(), self._rows_of(unit), unit.ordinal == run.units - 1
            on_tasks = progress.running() if unit.tasks else None
            files = self._in_time(partial(stage, rows.frame, plan, folder, last=last), on_tasks)
            files = [file for file in files if file.path not in before]
            before.update(file.path for file in files)
            totals = rows.totals()
            if unit.tasks:
                progress.unit(len(unit.tasks))
            stats = [] if totals is None else [totals.as_task()]
            yield Scored(unit=unit, files=files, stats=stats, seconds=time.perf_counter() - begin)

    def _in_time(self, action: Callable[[], Any], on_tasks: OnTasks | None = None) -> Any:
        """Run an action of Spark before the job's deadline, with its progress, and with its failure in our words."""
        tracked = partial(self._tracked, action, on_tasks or self._on_tasks())
        with translated(), settings(self._spark, self._batch_settings()):
            if self._job.config.deadline_seconds is None:
                return tracked()
            return Tagged(self._spark, f"spark_infer-{uuid.uuid4().hex}").call(tracked, self._job.deadline.get)

    def _tracked(self, action: Callable[[], Any], on_tasks: OnTasks | None) -> Any:
        with tracking(self._spark, on_tasks):
            return action()

    def _batch_settings(self) -> dict[str, str]:
        job = self._job
        if job.plane.name == "direct":
            return {}  # what travels to Python are the numbers of the tasks
        return batch_settings(self._spark, [job.table.field(name) for name in crossing(job.scoring, job.table)])

    def _on_tasks(self) -> OnTasks | None:
        on_progress, rows = self._on_progress, self._job.rows
        if on_progress is None:
            return None
        return lambda done, total, seconds: on_progress(Progress(min(done, total), total, rows, seconds))
