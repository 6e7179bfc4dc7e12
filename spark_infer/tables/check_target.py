"""Check a target, and plan what a write is going to do to it; nothing changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from spark_infer.config import TargetConfig
from spark_infer.config.write_modes import modes_for_existing
from spark_infer.errors import TargetError
from spark_infer.tables.formats import FORMATS, TargetRules, format_of
from spark_infer.tables.locate import locate
from spark_infer.tables.location import TableLocation, looking_at, same_table
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import PartitionScope, partition_scope
from spark_infer.tables.schema_check import (
    partitioning_problems,
    schema_problems,
    spelled_as,
    storable_problems,
)
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import may_be_null, type_names
from spark_infer.tables.storage import split_uri
from spark_infer.tables.table_lookup import TableLookup
from spark_infer.tables.target import Existing, check_unused, existing_table, new_location
from spark_infer.tables.writable import check_writable

_RENAMED = ("file", "hdfs", "viewfs")


def find_target(lookup: TableLookup, target: TargetConfig, source_format: str) -> tuple[TableLocation, bool]:
    """Say where a target is or will be, and whether there is a table; without ``format`` a new one is of the source's.

    Raises:
        TargetError: Its place cannot be looked at.
    """
    with looking_at(target):
        found = locate(lookup, target)
        return found or new_location(lookup, target, source_format), found is not None


def planned_write(
    location: TableLocation,
    target: TargetConfig,
    *,
    exists: bool,
    new_schema: bool,
    filled: Sequence[str],
    parts: Mapping[str, str],
) -> WritePlan:
    """Return the write that an unfinished run has planned; the target may have changed since, by the run itself.

    Args:
        location: The target.
        target: What the job says of it.
        exists: Whether there was a table when the run began.
        new_schema: Whether an overwrite changes the columns.
        filled: The columns that the rows do not bring.
        parts: The columns that the target is partitioned by, and their types.
    """
    scope = None
    if target.write_mode.replaces_partitions:
        scope, _ = partition_scope(target.partitions, parts)
    plan = WritePlan(
        location=location,
        mode=target.write_mode,
        exists=exists,
        partition_by=tuple(parts),
        scope=scope,
        how="",
        target_file_bytes=target.target_file_bytes,
        new_schema=new_schema,
        partition_types=tuple(parts.values()),
        keys=target.keys,
        filled=tuple(filled),
        properties=target.properties,
    )
    return sentence(plan)


def plan_write(lookup: TableLookup, target: TargetConfig, *, snapshot: Snapshot, schema: pa.Schema) -> WritePlan:
    """Check that rows may be written to the target as asked; nothing runs and nothing changes.

    A new table without ``format`` gets the source's.

    Args:
        lookup: What the engine knows of tables.
        target: Where the rows should go.
        snapshot: The source that they come from.
        schema: All columns of the target.

    Raises:
        TargetError: The target exists, shares files with the source, or does not fit; all problems at once.
        EnvironmentProblem: The engine lacks what tables of the format need.
    """
    with looking_at(target):
        return _plan(lookup, target, snapshot, schema)


def _plan(lookup: TableLookup, target: TargetConfig, snapshot: Snapshot, schema: pa.Schema) -> WritePlan:
    found = locate(lookup, target)
    location = found or new_location(lookup, target, snapshot.location.format)
    table_format = format_of(location.format)
    lookup.check_format(location.format)
    if not snapshot.location.stored and same_table(location, snapshot.location):
        raise TargetError(
            f"The target {location.name} shares its folder with the source {snapshot.location.name}.",
            details=["Writing there would change the rows while they are read."],
            next_step="choose a target outside the source's folder, and not around it.",
        )
    if found is not None and not target.write_mode.takes_existing:
        raise TargetError(
            f"The target {location.name} exists already, and mode `{target.mode}` was asked for.",
            next_step=f"choose another target, or a mode: {modes_for_existing()}.",
        )
    if found is None:
        check_unused(location)
    check_writable(location, exists=found is not None)
    rules = table_format.rules(location, exists=found is not None)
    rules.refuse(target)
    existing = existing_table(lookup, location, target) if found else None
    return _checked_plan(location, target, existing, rules, schema)


def _checked_plan(
    location: TableLocation, target: TargetConfig, existing: Existing | None, rules: TargetRules, schema: pa.Schema
) -> WritePlan:
    table_format, types = format_of(location.format), type_names(schema)
    has = spelled_as(existing.partition_columns, types) if existing else ()
    has_types = type_names(existing.schema) if existing else {}
    replaces = existing is not None and target.write_mode.replaces_table
    # A new table that is to be replaced by partitions has these partitions.
    wanted = target.partition_by or (() if existing else tuple(target.partitions))
    asked = spelled_as(wanted, types)
    partition_by = asked or has
    filled = _filled(target, existing, rules, types)
    plain_names = table_format.wants_plain_names and (existing is None or replaces)
    problems = storable_problems(schema, plain_names=plain_names)
    problems += partitioning_problems([name for name in partition_by if name not in filled], schema)
    fixed = not replaces or bool(location.table and table_format.catalog_decides)
    if existing is not None and fixed:
        if asked and asked != has:
            problems.append(f"`partition_by` is {_listed(asked)}, the table is partitioned by {_listed(has)}")
        problems += schema_problems(schema, existing.schema, folder_types=existing.folder_types, may_lack=filled)
        if table_format.needs_all_columns and any(problem.startswith("missing: ") for problem in problems):
            problems.append(table_format.needs_all_columns)
    scope, scope_problems = _scope(target, types, partition_by)
    problems += scope_problems
    if target.write_mode.merges:
        problems += _merge_problems(location, target, types)
    problems += rules.problems(target, types)
    if problems:
        raise TargetError(
            f"The rows do not fit the target {location.name}.",
            details=problems,
            next_step="change `keep`, `output`, `partition_by` or `partitions`, or choose another target.",
        )
    changed = replaces and not fixed and existing is not None and _differs(existing, schema, partition_by, has)
    plan = WritePlan(
        location=location,
        mode=target.write_mode,
        exists=existing is not None,
        partition_by=partition_by,
        scope=scope,
        how="",
        target_file_bytes=target.target_file_bytes,
        new_schema=changed,
        partition_types=tuple((types | has_types)[name] for name in partition_by),
        keys=target.keys,
        filled=filled,
        properties=target.properties,
    )
    return sentence(plan)


def _filled(
    target: TargetConfig, existing: Existing | None, rules: TargetRules, types: Mapping[str, str]
) -> tuple[str, ...]:
    """The columns of an existing table that the rows do not bring, and need not."""
    if existing is None or target.write_mode.replaces_table:
        return ()
    nullable = [field.name for field in existing.schema if may_be_null(field)]
    optional = rules.optional_columns(existing.schema.names, nullable, target.write_mode)
    brought = {name.casefold() for name in types}
    return tuple(name for name in optional if name.casefold() not in brought)


def _merge_problems(location: TableLocation, target: TargetConfig, types: Mapping[str, str]) -> list[str]:
    """What keeps rows from being merged into a table of any format, and the formats that have no merge."""
    problems = []
    if not format_of(location.format).takes_merge:
        name = next(each.name for each in FORMATS.values() if each.takes_merge)
        problems.append(
            f"`{target.mode}` needs a {name.capitalize()} table: set `format: {name}`, or choose another mode"
        )
    if location.storage() is None:
        problems.append(
            f"`{target.mode}` needs a table whose folder this process can reach, to stage the scored rows beside it"
        )
    return problems + [
        f"`keys` names {key}, which is not a column of the target" for key in target.keys if key not in types
    ]


def _differs(existing: Existing, schema: pa.Schema, partition_by: tuple[str, ...], has: tuple[str, ...]) -> bool:
    return partition_by != has or bool(schema_problems(schema, existing.schema, folder_types=existing.folder_types))


def _scope(
    target: TargetConfig, types: Mapping[str, str], partition_by: tuple[str, ...]
) -> tuple[PartitionScope | None, list[str]]:
    if not target.write_mode.replaces_partitions:
        return None, []
    if not partition_by:
        return None, [f"`{target.mode}` needs a table with partitions, and this one has none"]
    return partition_scope(target.partitions, {name: types[name] for name in partition_by if name in types})


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"


def sentence(plan: WritePlan) -> WritePlan:
    """Return the plan with one sentence that says what the write is going to do."""
    table_format = format_of(plan.location.format)
    kind = f"the {plan.location.format.capitalize()} table {plan.location.name}"
    parts = f", partitioned by {', '.join(plan.partition_by)}" if plan.partition_by else ""
    size = f", in files of about {plan.target_file_bytes:,} bytes" if plan.target_file_bytes else ""
    if plan.creates:
        how = f"make {kind}{parts}{size}, {_creation(plan)}"
    else:
        how = plan.mode.does.format(
            table=kind,
            where=plan.scope.sql if plan.scope is not None else "",
            keys=", ".join(plan.keys),
            parts=parts,
            columns=", its columns or partitioning too" if plan.new_schema else "",
            size=size,
            how=table_format.change(plan),
        )
    left = f"; {', '.join(plan.filled)} as the table fills them: null, or by their own rule" if plan.filled else ""
    return replace(plan, how=how + left)


def _creation(plan: WritePlan) -> str:
    if plan.made_by_catalog:
        return "through the catalog once all rows are written"
    if plan.location.table:
        return f"in {plan.location.path}, and registered when complete"
    if split_uri(plan.location.path or "")[0] in _RENAMED:
        return "written beside it and renamed when complete"
    return format_of(plan.location.format).creation
