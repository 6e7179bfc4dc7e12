"""Write scored rows: check the target first, then write so that a failure leaves it as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from spark_infer.config import TargetConfig
from spark_infer.core.session_settings import setting
from spark_infer.errors import TargetError
from spark_infer.tables.commit import write_delta
from spark_infer.tables.delta import check_delta
from spark_infer.tables.fit import (
    partitioning_problems,
    schema_problems,
    spelled_as,
    storable_problems,
    types_of,
)
from spark_infer.tables.how import sentence
from spark_infer.tables.location import TableLocation, locate, looking_at, same_table
from spark_infer.tables.merging import (
    identity_problems,
    merge_problems,
    optional_columns,
    refuse_appends_only,
    refuse_unrecognisable,
)
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.predicate import PartitionScope, partition_scope, quote_name
from spark_infer.tables.publish import stage_parquet, write_parquet
from spark_infer.tables.settings import refuse_lossy_settings, settings
from spark_infer.tables.sink.folders import NULL_PARTITION
from spark_infer.tables.sink.spec import WrittenFile
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage
from spark_infer.tables.target import Existing, check_storage, check_unused, existing_table, new_location
from spark_infer.tables.writable import check_writable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = [
    "EMPTY_PARTITION",
    "OUTSIDE_SCOPE",
    "WritePlan",
    "Written",
    "find_target",
    "plan_write",
    "planned_write",
    "size_notes",
    "stage",
    "write",
]

_ROW = "__spark_infer_row"
_NO_ADAPTIVE = (
    "`target_file_bytes` had no effect on the files' size: spark.sql.adaptive.enabled is false in this session, and "
    "then spark.sql.shuffle.partitions decides."
)

logger = logging.getLogger(__name__)

OUTSIDE_SCOPE = "spark_infer: a row lies outside the table partitions that this job may replace"
EMPTY_PARTITION = "spark_infer: a partition column holds an empty string, which a table stores as null"
_ONE_FILE_DECIDES = (
    "Spark takes the columns of a Parquet folder from one of its files, so that files with fewer may hide the others: "
    "bring the column, or use Delta"
)
NULL_TEXT = f"spark_infer: a partition column holds the text {NULL_PARTITION}, which a table takes for null"


def find_target(spark: SparkSession | None, target: TargetConfig, source_format: str) -> tuple[TableLocation, bool]:
    """Say where a target is or will be, and whether there is a table; without ``format`` a new one is of the source's.

    Raises:
        TargetError: Its place cannot be looked at.
    """
    with looking_at(target):
        found = locate(spark, target)
        return found or new_location(spark, target, source_format), found is not None


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
    if target.mode == "overwrite_partitions":
        scope, _ = partition_scope(target.partitions, parts)
    plan = WritePlan(
        location=location,
        mode=target.mode,
        exists=exists,
        partition_by=tuple(parts),
        scope=scope,
        how="",
        target_file_bytes=target.target_file_bytes,
        new_schema=new_schema,
        partition_types=tuple(parts.values()),
        keys=target.keys,
        filled=tuple(filled),
    )
    return sentence(plan)


def plan_write(
    spark: SparkSession | None, target: TargetConfig, *, snapshot: Snapshot, schema: StructType
) -> WritePlan:
    """Check that rows may be written to the target as asked; nothing runs and nothing changes.

    A new table without ``format`` gets the source's.

    Args:
        spark: The session; None where there is none, and then the target is a path that this process can reach.
        target: Where the rows should go.
        snapshot: The source that they come from.
        schema: All columns of the target.

    Raises:
        TargetError: The target exists, shares files with the source, or does not fit; all problems at once.
        EnvironmentProblem: The session's settings can lose rows, or it has no Delta.
    """
    refuse_lossy_settings(spark)
    with looking_at(target):
        return _plan(spark, target, snapshot, schema)


def write(
    frame: DataFrame, plan: WritePlan, *, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None = None
) -> Written:
    """Write the frame as planned.

    A failing Spark job raises Spark's own exception, after everything that was staged has been removed; the target is
    then as it was. Rows outside the declared scope fail the job.

    With ``target_file_bytes`` Spark shuffles the scored rows once more, by table partition where the target has some,
    and cuts the shuffle's output into pieces of that size. This costs the shuffle's disk and network, and is not exact:
    the pieces are measured as compressed rows, and as Parquet columns most are two to four times smaller. A table
    partition with fewer bytes still gets a file of its own. The setting for that, and the one that stores timestamps as
    TIMESTAMP_MICROS, hold in this session only while the write runs.

    Args:
        frame: The rows, with the schema that was planned.
        plan: From `plan_write`.
        facts: What the run wants to be remembered by; Delta keeps them in the commit's ``userMetadata``. With a
            ``run_id`` of its own each run finds its commit among those of other writers.
        txn: Application and version that Delta takes once: a commit that is there already is not made again.

    Raises:
        WriteError: The complete rows could not be moved to their place; says what state the target is in.
    """
    with _held(frame, plan) as rows:
        written = write_delta(rows, plan, facts, txn) if plan.location.format == "delta" else write_parquet(rows, plan)
    return replace(written, notes=(*written.notes, *size_notes(frame.sparkSession, plan)))


def stage(frame: DataFrame, plan: WritePlan, folder: Storage) -> list[WrittenFile]:
    """Have Spark write the frame as Parquet into a folder of our own, as `write` does, and return its files.

    Raises:
        Exception: Spark's own, where its job fails.
    """
    with _held(frame, plan) as rows:
        return stage_parquet(rows, plan, folder)


def size_notes(spark: SparkSession, plan: WritePlan) -> tuple[str, ...]:
    """What the reader of a report should know of the files' sizes."""
    if plan.target_file_bytes is not None and setting(spark, "spark.sql.adaptive.enabled").lower() == "false":
        return (_NO_ADAPTIVE,)
    return ()


@contextmanager
def _held(frame: DataFrame, plan: WritePlan) -> Iterator[DataFrame]:
    """The rows to write, and the settings of the session that hold meanwhile."""
    held = {
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.databricks.delta.history.metricsEnabled": "true",
    }
    if plan.target_file_bytes is not None:
        held["spark.sql.adaptive.advisoryPartitionSizeInBytes"] = f"{plan.target_file_bytes}b"
    logger.info("Writing: %s", plan.how)
    with settings(frame.sparkSession, held):
        yield _sized(_guarded(frame, plan), plan)


def _plan(spark: SparkSession | None, target: TargetConfig, snapshot: Snapshot, schema: StructType) -> WritePlan:
    found = locate(spark, target)
    location = found or new_location(spark, target, snapshot.location.format)
    if location.format == "delta" and spark is not None:
        check_delta(spark)
    if same_table(location, snapshot.location):
        raise TargetError(
            f"The target {location.name} shares its folder with the source {snapshot.location.name}.",
            details=["Writing there would change the rows while they are read."],
            next_step="choose a target outside the source's folder, and not around it.",
        )
    if found is not None and target.mode == "error_if_exists":
        raise TargetError(
            f"The target {location.name} exists already, and mode `error_if_exists` was asked for.",
            next_step="choose another target, or a mode: append, merge, overwrite_partitions, overwrite.",
        )
    if found is None:
        check_unused(location)
    check_writable(location, exists=found is not None)
    if location.format == "parquet":
        check_storage(location, target, exists=found is not None)
    if target.mode == "merge" and found is not None and location.format == "delta" and spark is not None:
        refuse_unrecognisable(spark, location)
    existing = existing_table(spark, location, type(schema)) if found else None
    if existing is not None and target.mode != "append":
        refuse_appends_only(location, existing.log)
    return _checked_plan(location, target, existing, schema)


def _checked_plan(
    location: TableLocation, target: TargetConfig, existing: Existing | None, schema: StructType
) -> WritePlan:
    types = types_of(schema)
    has = spelled_as(existing.partition_columns, types) if existing else ()
    has_types = types_of(existing.schema) if existing else {}
    replaces = existing is not None and target.mode == "overwrite"
    # A new table that is to be replaced by partitions has these partitions.
    wanted = target.partition_by or (() if existing else tuple(target.partitions))
    asked = spelled_as(wanted, types)
    partition_by = asked or has
    filled = _filled(location, target, existing, types)
    problems = storable_problems(schema, plain_names=location.format == "delta" and (existing is None or replaces))
    problems += partitioning_problems([name for name in partition_by if name not in filled], schema)
    fixed = not replaces or bool(location.table and location.format == "parquet")
    if existing is not None and fixed:
        if asked and asked != has:
            problems.append(f"`partition_by` is {_listed(asked)}, the table is partitioned by {_listed(has)}")
        problems += schema_problems(schema, existing.schema, folder_types=existing.folder_types, may_lack=filled)
        if location.format == "parquet" and any(problem.startswith("missing: ") for problem in problems):
            problems.append(_ONE_FILE_DECIDES)
    scope, scope_problems = _scope(target, types, partition_by)
    problems += scope_problems
    log = existing.log if existing is not None else None
    if target.mode != "overwrite":
        problems += identity_problems(log, types, merges=target.mode == "merge")
    if target.mode == "merge":
        problems += merge_problems(target, location, types, log)
    if problems:
        raise TargetError(
            f"The rows do not fit the target {location.name}.",
            details=problems,
            next_step="change `keep`, `output`, `partition_by` or `partitions`, or choose another target.",
        )
    changed = replaces and not fixed and existing is not None and _differs(existing, schema, partition_by, has)
    plan = WritePlan(
        location=location,
        mode=target.mode,
        exists=existing is not None,
        partition_by=partition_by,
        scope=scope,
        how="",
        target_file_bytes=target.target_file_bytes,
        new_schema=changed,
        partition_types=tuple((types | has_types)[name] for name in partition_by),
        keys=target.keys,
        filled=filled,
    )
    return sentence(plan)


def _filled(
    location: TableLocation, target: TargetConfig, existing: Existing | None, types: Mapping[str, str]
) -> tuple[str, ...]:
    """The columns of an existing Delta table that the rows do not bring, and need not."""
    if existing is None or location.format != "delta" or target.mode not in ("append", "overwrite_partitions", "merge"):
        return ()
    nullable = [field.name for field in existing.schema if field.nullable]
    optional = optional_columns(existing.schema.names, nullable, existing.log, mode=target.mode)
    brought = {name.casefold() for name in types}
    return tuple(name for name in optional if name.casefold() not in brought)


def _differs(existing: Existing, schema: StructType, partition_by: tuple[str, ...], has: tuple[str, ...]) -> bool:
    return partition_by != has or bool(schema_problems(schema, existing.schema, folder_types=existing.folder_types))


def _scope(
    target: TargetConfig, types: Mapping[str, str], partition_by: tuple[str, ...]
) -> tuple[PartitionScope | None, list[str]]:
    if target.mode != "overwrite_partitions":
        return None, []
    if not partition_by:
        return None, ["`overwrite_partitions` needs a table with partitions, and this one has none"]
    return partition_scope(target.partitions, {name: types[name] for name in partition_by if name in types})


def _guarded(frame: DataFrame, plan: WritePlan) -> DataFrame:
    """Make rows that must not be written fail the job."""
    texts = [quote_name(name) for name in plan.texts if name in frame.columns]
    checks = [(f"NOT ({name} <=> '')", EMPTY_PARTITION) for name in texts]
    checks += [(f"NOT ({name} <=> '{NULL_PARTITION}')", NULL_TEXT) for name in texts]
    if plan.scope is not None:
        checks.append((plan.scope.sql, OUTSIDE_SCOPE))
    if not checks:
        return frame
    # The checks lean on a row number, which keeps Spark from moving them below the model and into the scan: there
    # they would meet partitions none of whose rows get this far.
    numbered = frame.selectExpr("*", f"monotonically_increasing_id() AS {_ROW}")
    for condition, message in checks:
        numbered = numbered.where(f"IF({_ROW} >= 0 AND {condition}, true, CAST(raise_error('{message}') AS BOOLEAN))")
    return numbered.drop(_ROW)


def _sized(frame: DataFrame, plan: WritePlan) -> DataFrame:
    if plan.target_file_bytes is None:
        return frame
    return frame.hint("rebalance", *(quote_name(name) for name in plan.partition_by if name in frame.columns))


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nothing"
