"""The table for rows that the model fails for: its columns, and whether this job can write it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from spark_infer.config import JobConfig, TargetConfig
from spark_infer.engines.plane import Plane
from spark_infer.engines.prepared_job import Source
from spark_infer.errors import PlanError, SchemaMismatchError, TargetError, nearest
from spark_infer.job.units.runs import INSIDE
from spark_infer.job.writers import with_writers
from spark_infer.models.recipe import Recipe
from spark_infer.models.ref import ModelRef
from spark_infer.tables.check_target import plan_write
from spark_infer.tables.location import TableLocation, same_table
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.scan.positions import POSITION
from spark_infer.tables.sink.quarantine import OF_ERROR, OF_PLACE, OF_RUN
from spark_infer.tables.sink.sink_spec import SinkSpec
from spark_infer.tables.source_columns import refuse_unsupported
from spark_infer.tables.storage import Storage
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
        sink: How workers write them.
        columns: The columns of the source that are kept of them.
    """

    write: WritePlan
    schema: pa.Schema
    sink: SinkSpec
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
    if plane.sink is None or not accounted:
        why = plane.why if plane.name == "spark" else plane.writes_why
        raise PlanError(
            "on_error: quarantine needs workers that read the source and write the target.",
            details=[why if accounted else "nobody can keep account of the run in the target's folder"],
            next_step="use on_error: null, which leaves such rows without a prediction and says why.",
        )
    schema = _schema(source.schema, wanted.columns)
    as_target = TargetConfig(
        path=wanted.path, table=wanted.table, format=wanted.format, mode="append", partition_by=tuple(OF_RUN.names)
    )
    write = plan_write(lookup, as_target, snapshot=source.snapshot, schema=schema)
    _refuse_place(write.location, target.location)
    if write.partition_by != tuple(OF_RUN.names):
        raise TargetError(
            f"The quarantine table {write.location.name} is not partitioned by {OF_RUN.names[0]}.",
            next_step="choose another table; one that does not exist is made.",
        )
    values = _constants(ref)
    written = with_writers(plane, write, schema=schema, constants=values, conf=conf, run_id="")
    if written.sink is None or written.writes_why:
        raise TargetError(
            f"Workers cannot write the quarantine table {write.location.name}: {written.writes_why}.",
            next_step="choose another table, or other `columns`.",
        )
    return QuarantinePlan(write=write, schema=schema, sink=written.sink, columns=wanted.columns)


def quarantine_sink(plan: QuarantinePlan, ref: ModelRef, run_id: str, started_at: Any) -> SinkSpec:
    """How the workers of a run write quarantined rows."""
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
    return replace(recipe, aside=columns, hidden=hidden)


def _schema(source: pa.Schema, columns: tuple[str, ...]) -> pa.Schema:
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


def _refuse_place(location: TableLocation, target: TableLocation) -> None:
    if same_table(location, target):
        raise TargetError(
            f"The quarantine table {location.name} shares its folder with the target {target.name}.",
            next_step="choose a folder outside the target's, and not around it.",
        )
    here, there = location.storage(), target.storage()
    if here is not None and any(part.endswith(INSIDE) for part in here.root.split("/")):
        raise TargetError(
            f"The quarantine table {location.name} lies among the ledgers of a table's runs.",
            next_step="choose a folder beside the target.",
        )
    if here is None or there is None or not here.renames_atomically or not _is_one_disk(here, there):
        raise TargetError(
            f"The quarantine table {location.name} has to lie on the disk of the target {target.name}, or on its HDFS.",
            details=["files are moved into both tables in one step each; an object store cannot do that"],
            next_step="choose a folder beside the target; or use on_error: null.",
        )


def _is_one_disk(first: Storage, second: Storage) -> bool:
    if first.scheme == second.scheme == "file":
        return _device(first.root) == _device(posixpath.dirname(second.root))
    return first.scheme == second.scheme


def _device(path: str) -> int:
    while not os.path.exists(path):
        path = posixpath.dirname(path)
    return os.stat(path).st_dev
