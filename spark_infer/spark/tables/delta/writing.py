"""Write a Delta table as one commit, and find that commit again among those of other writers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spark_infer.spark.tables.settings import settings
from spark_infer.tables.delta.log import has_delta_log
from spark_infer.tables.delta.publish import emptied_in
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.staging import create_table, removed_on_failure, staging

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession

_RECENT = 50


def write_delta(
    frame: DataFrame, plan: WritePlan, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None = None
) -> Written:
    """Write the frame as one Delta commit whose ``userMetadata`` are the facts as compact JSON.

    With ``txn`` a commit of the same application and version that is there already is not made again.

    A failing job commits nothing, so the table is as it was; files that its finished tasks had written into an existing
    table's folder stay there, unseen by readers, until Delta's VACUUM removes them.
    """
    spark = frame.sparkSession
    named = facts if "run_id" in facts else {**facts, "write_id": uuid.uuid4().hex}
    stamp = _stamp(named)
    writer = frame.write.format("delta").option("userMetadata", stamp)
    if txn is not None:
        writer = writer.option("txnAppId", txn[0]).option("txnVersion", txn[1])
    if plan.exists:
        _save(_replacing(writer, plan), plan.location)
    else:
        ruled = {name: value for name, value in plan.properties.items() if name.startswith("delta.")}
        _create(spark, writer.options(**ruled).mode("error").partitionBy(*plan.partition_by), plan, stamp)
    return _written(spark, plan, stamp)


def _replacing(writer: DataFrameWriter, plan: WritePlan) -> DataFrameWriter:
    if plan.mode.adds_only:
        return writer.mode("append")
    # Said outright, because a session may make every overwrite a dynamic one.
    writer = writer.mode("overwrite").option("partitionOverwriteMode", "static")
    if plan.scope is not None:
        return writer.option("replaceWhere", plan.scope.sql)
    if plan.new_schema:
        return writer.option("overwriteSchema", "true").partitionBy(*plan.partition_by)
    return writer


def _create(spark: SparkSession, writer: DataFrameWriter, plan: WritePlan, stamp: str) -> None:
    storage = plan.location.storage()
    with ExitStack() as stack:
        if plan.made_by_catalog:
            stack.enter_context(removed_on_failure(storage, has_delta_log))
            # Delta 4.4 drops the writer's option when it makes a table of the catalog.
            stack.enter_context(settings(spark, {"spark.databricks.delta.commitInfo.userMetadata": stamp}))
        elif storage is not None and storage.renames_atomically:
            staged = stack.enter_context(staging(storage))
            writer.save(staged.uri)
            create_table(staged, storage)
            return
        _save(writer, plan.location if plan.made_by_catalog else _log_of(plan))


def _save(writer: DataFrameWriter, location: TableLocation) -> None:
    if location.table:
        writer.saveAsTable(location.table)
    else:
        writer.save(location.path)


def written_before(spark: SparkSession, plan: WritePlan, facts: Mapping[str, str | int | float]) -> Written | None:
    """What the commit with these facts wrote; None where the table has none, or there is no table."""
    storage = plan.location.storage()
    if not (plan.exists or (storage is not None and has_delta_log(storage))):
        return None
    commit = _own_commit(spark, _log_of(plan), _stamp(facts))
    return None if commit is None else _of_commit(plan, commit)


def _log_of(plan: WritePlan) -> TableLocation:
    """Where Delta finds the log: by the folder of a new table whose name may not be registered yet."""
    return replace(plan.location, table=None) if plan.creates and plan.location.path else plan.location


def _stamp(facts: Mapping[str, str | int | float]) -> str:
    return json.dumps(dict(facts), separators=(",", ":"))


def _written(spark: SparkSession, plan: WritePlan, stamp: str) -> Written:
    log = _log_of(plan)
    commit = _own_commit(spark, log, stamp) or (_first_commit(spark, log) if plan.creates else None)
    if commit is None:
        return Written(plan.location, None, 0, 0, 0, ("No row was written, and Delta made no commit for that.",))
    return _of_commit(plan, commit)


def _of_commit(plan: WritePlan, commit: Any) -> Written:
    metrics = {name: int(value) for name, value in commit["operationMetrics"].items() if value.isdigit()}
    return Written(
        location=plan.location,
        version=commit["version"],
        # Rows that a replaced file shared with other partitions are copied, and are not ours.
        rows=metrics.get("numOutputRows", 0) - metrics.get("numCopiedRows", 0),
        files=metrics.get("numFiles", 0),
        size_bytes=metrics.get("numOutputBytes", 0),
        notes=emptied_in(plan, plan.location.storage(), commit["version"]),
    )


def _first_commit(spark: SparkSession, location: TableLocation) -> Any:
    """The commit that made a table; ours where we made it, also where the session would not take our stamp."""
    rows = spark.sql(f"DESCRIBE HISTORY {location.sql}").collect()
    return next((row for row in rows if row["version"] == 0), None)


def _own_commit(spark: SparkSession, location: TableLocation, stamp: str) -> Any:
    """Our commit in the table's history; other writers may have committed before and after it."""
    for limit in (f"LIMIT {_RECENT}", ""):
        rows = spark.sql(f"DESCRIBE HISTORY {location.sql} {limit}").collect()
        own = [row for row in rows if row["userMetadata"] == stamp]
        if own or len(rows) < _RECENT:
            break
    return min(own, key=lambda row: row["version"], default=None)
