"""A preview of a table job: some rows go all the way, and come back instead of being written."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import pyarrow as pa

from spark_infer.config import JobConfig
from spark_infer.config.partition_values import partitions_named
from spark_infer.core.stats import TaskTotals
from spark_infer.engines.base import Engine
from spark_infer.engines.job_deadline import Deadline
from spark_infer.engines.prepared_job import MatchedJob
from spark_infer.engines.preview_rows import Selection, from_streams
from spark_infer.errors import ConfigError
from spark_infer.job.prepare import match_job
from spark_infer.job.text_table import text_table
from spark_infer.models.ref import ModelRef
from spark_infer.models.stamps import constants
from spark_infer.observe.progress import clock_time
from spark_infer.observe.wording import selection_lines
from spark_infer.printable import counted, printable_lines
from spark_infer.tables.spark_json import plain

ROWS = 20
MOST_ROWS = 10_000
MOST_SEED = 2**63 - 1
_WIDTH = 120


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Rows as a job would write them, of which nothing was written.

    Attributes:
        job: Name of the job.
        model_uri: The URI as it was asked for.
        model_name: Name in the registry, or of the folder.
        model_version: The exact version.
        source: Path or name of the table that was read.
        source_version: The version that was read, where the format has one.
        source_rows: Its rows, where the table knows; `where` leaves fewer.
        partition_filter: Which table partitions were read.
        where: The condition on the rows.
        plane: Which plane carried the batches.
        rows: The rows, with the columns of the target.
        rows_scored: How many were scored: with a sample more than are shown.
        sample: The share of the source that was asked for; None for its first rows.
        seed: What decided which rows were drawn.
        seconds: Wall seconds of scoring, the start of workers included.
        task_seconds: Seconds of the parts of scoring, summed over all tasks; empty where Spark runs the model.
        warnings: What the reader should know, a sentence each.

    Example:
        >>> preview = ScoringJob.from_yaml("job.yaml").preview(spark, rows=20)
        >>> preview.rows_scored, sorted(preview.rows.column("prediction").to_pylist())
        (3, [-9.0, -3.0, 28.0])
    """

    job: str
    model_uri: str
    model_name: str
    model_version: str
    source: str
    source_version: int | None
    source_rows: int | None
    partition_filter: tuple[str, ...]
    where: str | None
    plane: str
    rows: pa.Table
    rows_scored: int
    sample: float | None
    seed: int
    seconds: float
    task_seconds: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    def to_pandas(self) -> Any:
        """Return the rows as a pandas DataFrame."""
        return self.rows.to_pandas()

    def to_dict(self) -> dict[str, object]:
        """Return the facts as values that JSON can hold; numbers and truth values as they are, others as text."""
        facts = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {**facts, "rows": [_plain(row) for row in self.rows.to_pylist()]}

    def text(self, width: int = _WIDTH) -> str:
        """Write the preview for people, in lines of so many letters where that is possible."""
        return printable_lines(_lines(self, width))

    def __str__(self) -> str:
        return self.text()


def preview_job(
    engine: Engine[Any],
    config: JobConfig,
    *,
    rows: int = ROWS,
    sample: float | None = None,
    seed: int = 0,
    model: ModelRef | None = None,
    deadline: Deadline | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Preview:
    """Score some rows of a job on its workers and return them; the target and its runs are not even looked at.

    Args:
        engine: Where the job would run.
        config: The job.
        rows: The most rows to return; without a sample, also the most that a task scores.
        sample: The share of the source to score, drawn from all over it; None for its first rows.
        seed: Decides which rows are drawn.
        model: The pinned model, where the caller has resolved it already.
        deadline: When all must be done; by default after the job's ``deadline_seconds`` from now.
        clock: Seconds that only grow.

    Raises:
        PlanError: The job cannot run as it stands.
        RunError: Rows could not be read or scored.
    """
    _refuse(rows, sample, seed)
    rows, sample, seed = int(rows), None if sample is None else float(sample), int(seed)
    job = match_job(engine, config, model=model, deadline=deadline)
    begin, streams, told, found = clock(), [], [], 0
    with engine.running(), closing(engine.preview(job, Selection(rows=rows, share=sample, seed=seed))) as answers:
        for stream, stats in answers:
            streams.append(stream)
            told += [stats] if stats else []
            found += int(stats.get("rows") or 0)
            if sample is None and found >= rows:
                break
    scored, totals = from_streams(streams), TaskTotals.of_tasks(told)
    shown = _with_columns(job, scored) if sample is None else _spread(_with_columns(job, scored), rows)
    ref, hide = job.recipe.ref, config.hide
    return Preview(
        job=config.name,
        model_uri=hide(ref.uri),
        model_name=ref.name,
        model_version=ref.version,
        source=hide(config.source.name),
        source_version=job.snapshot.version,
        source_rows=job.snapshot.rows,
        partition_filter=hide(partitions_named(config.source.partition_filter)),
        where=hide(config.source.where),
        plane=f"{job.plane.name}: {job.plane.why}",
        rows=shown.slice(0, rows),
        rows_scored=totals.rows,
        sample=sample,
        seed=seed,
        seconds=clock() - begin,
        task_seconds=totals.seconds if totals.workers else {},
        warnings=hide((*job.warnings, *filter(None, [job.rehearsal.warning]))),
    )


def _refuse(rows: Any, sample: Any, seed: Any) -> None:
    if not _is_whole(rows):
        raise ConfigError(
            f"A preview shows 1 to {MOST_ROWS:,} rows, a whole number, and {_shown(rows)} was asked for.",
            next_step="say rows=20.",
        )
    if not 1 <= rows <= MOST_ROWS:
        raise ConfigError(
            f"A preview shows 1 to {MOST_ROWS:,} rows, and {rows:,} were asked for.",
            next_step="run the job into a target of its own to see more.",
        )
    is_share = isinstance(sample, Real) and not isinstance(sample, bool) and 0 < float(sample) <= 1
    if sample is not None and not is_share:
        raise ConfigError(
            f"A sample is a share of the rows, a number above 0 and at most 1, and {_shown(sample)} was asked for.",
            next_step="say 0.01 for one row of a hundred.",
        )
    if not _is_whole(seed) or not 0 <= seed <= MOST_SEED:
        raise ConfigError(
            f"The seed of a sample is a whole number from 0 to {MOST_SEED:,}, and {_shown(seed)} was asked for.",
            next_step="say seed=0, or leave it out.",
        )


def _is_whole(given: Any) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool)


def _shown(given: Any) -> str:
    return f"{given:g}" if isinstance(given, float) else repr(given)[:60]


def _with_columns(job: MatchedJob, scored: pa.Table | None) -> pa.Table:
    """The columns of the target: workers that write add the constant ones to their files alone."""
    if scored is None:
        return plain(job.schema).empty_table()
    for name, value in constants(job.config, job.recipe.ref, job.started_at).items():
        if name not in scored.column_names:
            column = pa.array([value] * scored.num_rows, plain(job.schema).field(name).type)
            scored = scored.append_column(name, column)
    return scored.select(job.schema.names)


def _spread(rows: pa.Table, most: int) -> pa.Table:
    """So many rows from all over a sample."""
    if rows.num_rows <= most:
        return rows
    return rows.take([number * rows.num_rows // most for number in range(most)])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def _lines(preview: Preview, width: int) -> Iterator[str]:
    version = "" if preview.source_version is None else f", version {preview.source_version}"
    yield f"{preview.job}: {counted(preview.rows_scored, 'row')} scored{_drawn(preview)}, nothing is written"
    yield ""
    yield f"  model   {preview.model_name} version {preview.model_version} ({preview.model_uri})"
    yield f"  source  {preview.source}{version}"
    yield from (f"          {line}" for line in selection_lines(preview.partition_filter, preview.where))
    yield f"  plane   {preview.plane}"
    yield from (f"  time    {line}" for line in _speed(preview))
    yield ""
    yield from text_table(preview.rows, width)
    if not preview.rows.num_rows:
        yield "  no row of the source was selected"
    if preview.warnings:
        yield ""
        yield "warnings"
        yield from (f"  ! {warning}" for warning in preview.warnings)


def _drawn(preview: Preview) -> str:
    if preview.sample is None:
        return ""
    return f", a sample of {preview.sample:g} with seed {preview.seed}, of which {preview.rows.num_rows:,} are shown"


def _speed(preview: Preview) -> Iterator[str]:
    """How long the whole table would take, by a sample: the first rows alone say nothing of it."""
    busy = sum(seconds for part, seconds in preview.task_seconds.items() if part != "load")
    if preview.sample is None or not preview.rows_scored or not busy:
        return
    rate = preview.rows_scored / busy
    rows = preview.source_rows
    whole = "" if rows is None else f"; all {rows:,} would take it {clock_time(rows / rate)}"
    yield f"about {rate:,.0f} rows a second for one task{whole}, without the start and the files"
