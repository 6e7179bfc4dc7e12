"""Write scored rows with Spark as planned, so that a failure leaves the target as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_infer.spark.session_settings import setting
from spark_infer.spark.tables.parquet.writing import stage_parquet
from spark_infer.spark.tables.register import register
from spark_infer.spark.tables.settings import corrected_calendar, settings
from spark_infer.spark.tables.spark_formats import spark_format_of
from spark_infer.spark.versions import rebalanced
from spark_infer.tables.formats import format_of
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.sink.folders import NULL_PARTITION
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_ROW = "__spark_infer_row"
_NO_ADAPTIVE = (
    "`target_file_bytes` had no effect on the files' size: spark.sql.adaptive.enabled is false in this session, and "
    "then spark.sql.shuffle.partitions decides."
)

logger = logging.getLogger(__name__)

OUTSIDE_SCOPE = "spark_infer: a row lies outside the table partitions that this job may replace"
EMPTY_PARTITION = "spark_infer: a partition column holds an empty string, which a table stores as null"
NULL_TEXT = f"spark_infer: a partition column holds the text {NULL_PARTITION}, which a table takes for null"


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
    with _held(_commented(frame, plan), plan) as rows:
        written = spark_format_of(plan.location.format).write(rows, plan, facts, txn)
    if plan.creates and plan.location.table:
        register(frame.sparkSession, plan)
    return replace(written, notes=(*written.notes, *size_notes(frame.sparkSession, plan)))


def refresh(spark: SparkSession, plan: WritePlan) -> None:
    """Have this session see the new files of a target."""
    spark_format_of(plan.location.format).refresh(spark, plan)


def stage(frame: DataFrame, plan: WritePlan, folder: Storage, *, last: bool) -> list[WrittenFile]:
    """Have Spark write the frame as Parquet into a folder of our own, as `write` does, and return the folder's files.

    Args:
        frame: The rows, with the schema that was planned.
        plan: What is staged.
        folder: Our folder, perhaps with the files of other units.
        last: Whether a table without rows gets a file that holds its columns.

    Raises:
        Exception: Spark's own, where its job fails.
    """
    with _held(frame, plan) as rows:
        return stage_parquet(rows, plan, folder, last=last)


def staged_plan(plan: WritePlan) -> WritePlan:
    """What Spark writes beside a table: as the table will have it where files are moved, else plain Parquet."""
    if not is_committed(plan):
        return plan.as_staged() if plan.merges else plan
    return replace(plan.as_staged(), scope=plan.scope, target_file_bytes=None)


def is_committed(plan: WritePlan) -> bool:
    """Whether Spark commits the rows to the table, which takes no files that were moved into their place."""
    return not plan.merges and format_of(plan.location.format).spark_commits


def is_staged(plan: WritePlan) -> bool:
    """Whether Spark's Parquet files are written beside the table first, and then moved into their place."""
    storage = plan.location.storage()
    if plan.merges:
        return True
    if is_committed(plan) or storage is None or plan.made_by_catalog:
        return False
    return storage.renames_atomically or not plan.creates


def size_notes(spark: SparkSession, plan: WritePlan) -> tuple[str, ...]:
    """What the reader of a report should know of the files' sizes."""
    if plan.target_file_bytes is not None and setting(spark, "spark.sql.adaptive.enabled").lower() == "false":
        return (_NO_ADAPTIVE,)
    return ()


@contextmanager
def _held(frame: DataFrame, plan: WritePlan) -> Iterator[DataFrame]:
    """The rows to write, and the settings of the session that hold meanwhile."""
    held = corrected_calendar(frame.sparkSession) | {
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.databricks.delta.history.metricsEnabled": "true",
    }
    if plan.target_file_bytes is not None:
        held["spark.sql.adaptive.advisoryPartitionSizeInBytes"] = f"{plan.target_file_bytes}b"
    logger.info("Writing: %s", plan.how)
    with settings(frame.sparkSession, held):
        yield _sized(_guarded(frame, plan), plan)


def _commented(frame: DataFrame, plan: WritePlan) -> DataFrame:
    """Give the columns of a new table their comments."""
    if not plan.comments:
        return frame
    columns = [(field, plan.comments.get(field.name)) for field in frame.schema]
    return frame.select(
        *(
            F.col(quote_name(field.name)).alias(field.name, metadata={"comment": comment, **field.metadata})
            if comment is not None
            else F.col(quote_name(field.name))
            for field, comment in columns
        )
    )


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
    return rebalanced(frame, [quote_name(name) for name in plan.partition_by if name in frame.columns])
