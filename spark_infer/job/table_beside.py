"""A table that a run writes besides its target: whether it can be, and how workers and driver write its rows."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from spark_infer.config import TargetConfig
from spark_infer.engines.plane import Plane
from spark_infer.errors import PlanError, TargetError
from spark_infer.job.units.runs import INSIDE
from spark_infer.job.writers import with_writers
from spark_infer.tables.check_target import plan_write
from spark_infer.tables.location import TableLocation, same_table
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.sink.sink_spec import SinkSpec
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup


def refuse_other_writers(plane: Plane, option: str, instead: str, *, accounted: bool) -> None:
    """Refuse a second table where Spark reads or writes the rows, or nobody keeps account of the run.

    Args:
        plane: Who reads and writes.
        option: What asks for the table.
        instead: What else the user can do.
        accounted: Whether there is a ledger of the run.

    Raises:
        PlanError: So it is.
    """
    if plane.sink is not None and accounted:
        return
    why = plane.why if plane.name == "spark" else plane.writes_why
    raise PlanError(
        f"{option} needs workers that read the source and write the target.",
        details=[why if accounted else "nobody can keep account of the run in the target's folder"],
        next_step=instead,
    )


def plan_beside(
    lookup: TableLookup,
    wanted: TargetConfig,
    *,
    name: str,
    others: Sequence[TableLocation],
    snapshot: Snapshot,
    schema: pa.Schema,
    constants: Mapping[str, Any],
    plane: Plane,
    conf: Mapping[str, str],
    instead: str = "",
) -> tuple[WritePlan, SinkSpec]:
    """Check that a table besides the target can be written as asked; nothing changes.

    Args:
        lookup: What the engine knows of tables.
        wanted: The table, and the write mode.
        name: What it is called in messages.
        others: The target first, and further tables of the run.
        snapshot: The source.
        schema: The table's columns.
        constants: Those with one value in all rows.
        plane: Who reads and writes.
        conf: The session's settings.
        instead: What else the user can do where an existing table does not fit; "" for what holds for most.

    Raises:
        PlanError: It cannot.
    """
    try:
        write = plan_write(lookup, wanted, snapshot=snapshot, schema=schema)
    except TargetError as error:  # whose words are for targets
        what = re.sub(r"\b([Tt]he) target\b", rf"\1 {name}", error.what)
        next_step = instead or f"choose another {name}, or other columns for it."
        raise TargetError(what, details=error.details, next_step=next_step) from error
    for other in others:
        _refuse_place(name, write.location, other)
    written = with_writers(plane, write, schema=schema, constants=constants, conf=conf, run_id="")
    if written.sink is None or written.writes_why:
        raise TargetError(
            f"Workers cannot write the {name} {write.location.name}: {written.writes_why}.",
            next_step="choose another table, or other `columns`.",
        )
    return write, written.sink


def _refuse_place(name: str, location: TableLocation, target: TableLocation) -> None:
    if same_table(location, target):
        raise TargetError(
            f"The {name} {location.name} shares its folder with the target {target.name}.",
            next_step="choose a folder outside the target's, and not around it.",
        )
    here, there = location.storage(), target.storage()
    if here is not None and any(part.endswith(INSIDE) for part in here.root.split("/")):
        raise TargetError(
            f"The {name} {location.name} lies among the ledgers of a table's runs.",
            next_step="choose a folder beside the target.",
        )
    if here is None or there is None or not here.renames_atomically or not _is_one_disk(here, there):
        raise TargetError(
            f"The {name} {location.name} has to lie on the disk of the target {target.name}, or on its HDFS.",
            details=["files are moved into both tables in one step each; an object store cannot do that"],
            next_step="choose a folder beside the target.",
        )


def _is_one_disk(first: Storage, second: Storage) -> bool:
    if first.scheme == second.scheme == "file":
        return _device(first.root) == _device(posixpath.dirname(second.root))
    return first.scheme == second.scheme


def _device(path: str) -> int:
    while not os.path.exists(path):
        path = posixpath.dirname(path)
    return os.stat(path).st_dev
