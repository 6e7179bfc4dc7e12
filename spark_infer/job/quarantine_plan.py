"""The table for rows that the model fails for: its columns, and whether this job can write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from spark_infer.config import JobConfig, QuarantineConfig, TargetConfig
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import Source
from spark_infer.errors import SchemaMismatchError, TargetError, nearest
from spark_infer.job.table_beside import plan_beside, refuse_other_writers
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.scan.positions import POSITION
from spark_infer.tables.sink.quarantine import OF_ERROR, OF_PLACE, OF_RUN
from spark_infer.tables.sink.sink_spec import SinkSpec
from spark_infer.tables.source_columns import refuse_unsupported
from spark_infer.tables.table_lookup import TableLookup

OF_MODEL = pa.schema(
    [
        pa.field("model_name", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("scored_at", pa.timestamp("us", "UTC")),
    ]
)


@dataclass(frozen=True, kw_only=True)
class QuarantinePlan:
    """The table that quarantined rows go to.

    Attributes:
        write: How they are added.
        schema: Its columns.
        sink: How workers write them; None where Spark does.
        columns: The columns of the source that are kept of them.
    """

    write: WritePlan
    schema: pa.Schema
    sink: SinkSpec | None
    columns: tuple[str, ...]


def plan_quarantine(
    lookup: TableLookup,
    config: JobConfig,
    ref: ModelRef,
    source: Source,
    *,
    target: WritePlan,
    plane: Plane,
    conf: Mapping[str, str],
    accounted: bool,
) -> QuarantinePlan | None:
    """Check that a job can write the rows that its model fails for; None where the job has no such table.

    Raises:
        PlanError: It cannot, because Spark reads or writes its rows, or for reasons of the table.
    """
    wanted = config.quarantine
    if wanted is None:
        return None
    instead = "use on_error: null, which leaves such rows without a prediction and says why."
    refuse_other_writers(plane, "on_error: quarantine", instead, accounted=accounted)
    schema, as_target = quarantine_schema(source.schema, wanted.columns), as_target_of(wanted)
    write, sink = plan_beside(
        lookup,
        as_target,
        name="quarantine table",
        others=[target.location],
        snapshot=source.snapshot,
        schema=schema,
        constants=_constants(ref),
        plane=plane,
        conf=conf,
    )
    if write.partition_by != tuple(OF_RUN.names):
        raise TargetError(
            f"The quarantine table {write.location.name} is not partitioned by {OF_RUN.names[0]}.",
            next_step="choose another table; one that does not exist is made.",
        )
    return QuarantinePlan(write=write, schema=schema, sink=sink, columns=wanted.columns)


def quarantine_sink(plan: QuarantinePlan, ref: ModelRef, run_id: str, started_at: Any) -> SinkSpec:
    """How the workers of a run write quarantined rows."""
    if plan.sink is None:
        raise ValueError("Spark writes")
    return replace(plan.sink, run_id=run_id, constants={**_constants(ref), "scored_at": started_at})


def _constants(ref: ModelRef) -> dict[str, Any]:
    return {"model_name": ref.name, "model_version": str(ref.version), "scored_at": None}


def read_along(recipe: Recipe, table: pa.Schema, config: JobConfig) -> Recipe:
    """Have the columns read that are kept of quarantined rows.

    Raises:
        SchemaMismatchError: The source does not have them, or they cannot be read.
    """
    columns = () if config.quarantine is None else config.quarantine.columns
    missing = [name for name in columns if name not in table.names]
    if missing:
        raise SchemaMismatchError(
            "`quarantine.columns` names columns that the source does not have.",
            problems=[f"column {name!r} is missing{nearest(name, table.names)}" for name in missing],
            next_step="correct the names.",
        )
    refuse_unsupported(table, columns)
    hidden = () if config.quarantine is None else POSITION
    return replace(recipe, aside=(*recipe.aside, *columns), hidden=hidden)


def as_target_of(wanted: QuarantineConfig) -> TargetConfig:
    """The table of quarantined rows as a target: rows are added to it, by run."""
    return TargetConfig(
        path=wanted.path, table=wanted.table, format=wanted.format, mode="append", partition_by=tuple(OF_RUN.names)
    )


def quarantine_schema(source: pa.Schema, columns: tuple[str, ...]) -> pa.Schema:
    """Return the columns of a table of quarantined rows.

    Args:
        source: The columns of the source.
        columns: Those that are kept of a row.

    Raises:
        SchemaMismatchError: Two of them have one name.
    """
    kept = [source.field(name).with_nullable(True) for name in columns]
    added = [*OF_PLACE, *OF_ERROR, *OF_MODEL, *OF_RUN]
    taken = {field.name for field in added} & {name.casefold() for name in columns}
    if taken:
        raise SchemaMismatchError(
            "`quarantine.columns` names columns that the table of quarantined rows has anyway.",
            problems=[f"column {name!r} is there already" for name in sorted(taken)],
            next_step="leave them out, or rename the columns of the source with a view.",
        )
    return pa.schema([*kept, *added])
