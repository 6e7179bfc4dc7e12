"""The prediction cache of a job: its columns, what it holds for this model, and whether this job can use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.config.table import TableConfig
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import MatchedJob, PreparedJob
from spark_infer.errors import PlanError, SourceError, TargetError
from spark_infer.job.table_beside import plan_beside, refuse_other_writers
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.printable import counted
from spark_infer.tables.formats import format_of
from spark_infer.tables.listing import Listing
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.footers import with_footers
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.prediction_cache.cached_columns import (
    DIGEST,
    OF_RUN,
    PARTITIONS,
    REMOVE,
    SCORING,
    cache_schema,
)
from spark_infer.tables.publishing.with_cache import WithCache
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.sink.sink_spec import CacheSpec, SinkSpec
from spark_infer.tables.source import open_snapshot
from spark_infer.tables.table_lookup import TableLookup

MOST_ROWS = 20_000_000
"""Most predictions that are looked up, those of the newest files: 240 MB of memory in each worker."""


@dataclass(frozen=True, kw_only=True)
class CachePlan:
    """The table that predictions are kept in from one run to the next.

    Attributes:
        write: How new ones are added.
        schema: Its columns.
        sink: How workers write them.
        scoring: What decides an answer besides the row, as one text.
        files: The files that are looked up.
        rows: The predictions in them.
        notes: What the reader of plan and report should know, a sentence each.
    """

    write: WritePlan
    schema: pa.Schema
    sink: SinkSpec
    scoring: str
    files: tuple[str, ...]
    rows: int
    notes: tuple[str, ...] = ()


def plan_cache(
    lookup: TableLookup,
    job: MatchedJob,
    *,
    others: Sequence[TableLocation],
    plane: Plane,
    conf: Mapping[str, str],
    accounted: bool,
) -> CachePlan | None:
    """Check that a job can use its prediction cache, and list what that holds; None where the job has none.

    Args:
        lookup: What the engine knows of tables.
        job: The job, matched to its model.
        others: The target first, and further tables of the run.
        plane: Who reads and writes.
        conf: The session's settings.
        accounted: Whether there is a ledger of the run.

    Raises:
        PlanError: It cannot: the model may look at several rows at a time, Spark reads or writes the rows, or for
            reasons of the table.
    """
    config, recipe = job.config, job.recipe
    if config.cache is None:
        return None
    refuse_other_writers(plane, "cache", "take `cache` out: all rows are predicted then.", accounted=accounted)
    _refuse_several_rows_at_a_time(job)
    schema = cache_schema(recipe.raw_outputs)
    write, sink = plan_beside(
        lookup,
        _as_target(config.cache),
        name="prediction cache",
        others=others,
        snapshot=job.source.snapshot,
        schema=schema,
        constants=_constants(recipe.ref),
        plane=plane,
        conf=conf,
        instead="choose another folder for it.",
    )
    _refuse_other_partitions(write)
    scoring = recipe.load.answers_digest(recipe.ref.digest, recipe.raw_outputs)
    found, notes = _files(lookup, config.cache, write, {DIGEST: recipe.ref.digest, SCORING: scoring})
    files = tuple(file.path for file in found.files)
    return CachePlan(
        write=write, schema=schema, sink=sink, scoring=scoring, files=files, rows=found.rows or 0, notes=tuple(notes)
    )


def _refuse_several_rows_at_a_time(job: MatchedJob) -> None:
    is_loaded = job.scoring.loads and not job.nothing_new
    if job.by_row or job.config.score.deduplicate == "always" or not is_loaded:
        return
    raise PlanError(
        "cache needs a model whose answer for a row depends on that row alone, which is not known of this one.",
        details=[f"{job.recipe.label} is served by {job.recipe.choice.backend}"],
        next_step="set score.deduplicate: always, which takes your word for it, or take `cache` out.",
    )


def _refuse_other_partitions(write: WritePlan) -> None:
    if write.partition_by != tuple(PARTITIONS.names):
        raise TargetError(
            f"The prediction cache {write.location.name} is not partitioned by {' and '.join(PARTITIONS.names)}: it is "
            "another table.",
            next_step="choose another folder; one that does not exist is made.",
        )


def _as_target(wanted: TableConfig) -> TargetConfig:
    place = {"path": wanted.path, "table": wanted.table, "format": wanted.format}
    return TargetConfig(**place, mode="append", partition_by=tuple(PARTITIONS.names))


def _constants(ref: ModelRef) -> dict[str, Any]:
    return {**dict.fromkeys(OF_RUN.names), "model_name": ref.name, "model_version": str(ref.version)}


def _files(
    lookup: TableLookup, wanted: TableConfig, write: WritePlan, values: Mapping[str, str]
) -> tuple[Listing, list[str]]:
    """The files with the predictions of a scoring, the newest first and no more rows than are looked up; and notes."""
    storage = write.location.storage()
    if not write.exists or storage is None:
        return Listing(()), []
    wanted_partition: dict[str, Any] = {name: [value] for name, value in values.items()}
    snapshot = open_snapshot(
        lookup,
        SourceConfig(path=wanted.path, table=wanted.table, format=wanted.format, partition_filter=wanted_partition),
    )
    listing = snapshot.listing or Listing(())
    if snapshot.column_mapping != "none":
        return Listing(()), [f"the prediction cache {write.location.name} maps its columns: nothing is looked up in it"]
    deleted = sum(file.vector is not None for file in listing.files)
    listing = listing.where(lambda file: file.vector is None)
    try:
        listing = with_footers(storage, listing, [file.path for file in listing.files])
    except SourceError as error:
        raise TargetError(
            f"The prediction cache {write.location.name} cannot be read: {error.what}",
            details=error.details,
            next_step=REMOVE,
        ) from error
    newest = sorted(listing.files, key=lambda file: (-(file.modified_ns or 0), file.path))
    kept = replace(listing, files=tuple(_first_rows(newest, MOST_ROWS)))
    return kept, [*_notes(write, deleted, (listing.rows or 0) - (kept.rows or 0))]


def _first_rows(files: Sequence[Any], most: int) -> Iterator[Any]:
    rows = 0
    for file in files:
        rows += file.rows or 0
        if rows > most:
            return
        yield file


def _notes(write: WritePlan, deleted: int, left_out: int) -> Iterator[str]:
    if deleted:
        yield (
            f"{counted(deleted, 'file')} of the prediction cache {write.location.name} are not looked up, since rows "
            "were deleted from them: REORG TABLE … APPLY (PURGE) writes them again"
        )
    if left_out:
        yield (
            f"the prediction cache {write.location.name} holds more than the {MOST_ROWS:,} predictions of this model "
            f"that are looked up: {left_out:,} are left out"
        )


def cache_spec(plan: CachePlan, recipe: Recipe, run_id: str, started_at: Any) -> CacheSpec:
    """How the workers of a run look predictions up and keep new ones."""
    constants = {**_constants(recipe.ref), "cached_at": started_at}
    return CacheSpec(
        sink=replace(plan.sink, run_id=run_id, constants=constants),
        uri=plan.write.location.path or "",
        scoring=plan.scoring,
        digest=recipe.ref.digest,
        files=plan.files,
        outputs=recipe.raw_outputs,
    )


def with_cache(job: PreparedJob, work: PublishWork, target: Publisher) -> Publisher:
    """The publisher of a run; of its new predictions too, where there is a prediction cache."""
    plan, spec = job.cache, None if work.sink is None else work.sink.cache
    table = None if plan is None else plan.write.location.storage()
    if plan is None or spec is None or table is None:
        return target
    own = replace(
        work, plan=replace(plan.write, exists=True), table=table, sink=spec.sink, schema=plan.schema, bookmark=None
    )
    table_format = format_of(plan.write.location.format)
    table_format.make_empty(own)
    return WithCache(target, table_format.publisher(own))
