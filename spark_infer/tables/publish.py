"""Write a Parquet table so that readers have the old one until the new one is complete."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from pyarrow import parquet as pq

from spark_infer.errors import TargetError
from spark_infer.tables.catalog import describe
from spark_infer.tables.location import canonical
from spark_infer.tables.newtable import removed_on_failure
from spark_infer.tables.parquet import EMPTY_TABLE_FILE, PARTITIONED_BY, read_footers
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.staging import (
    Stage,
    add_files,
    create_table,
    replace_partitions,
    replace_table,
    staging,
)
from spark_infer.tables.storage import DataFile, Storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession


def write_parquet(frame: DataFrame, plan: WritePlan) -> Written:
    """Write the frame and count its rows from the footers of the new files."""
    spark = frame.sparkSession
    # The newer commit algorithm publishes the files of tasks that fail later.
    writer = frame.write.format("parquet").option("mapreduce.fileoutputcommitter.algorithm.version", "1")
    writer = writer.mode("error").partitionBy(*plan.partition_by)
    storage = plan.location.storage()
    if plan.creates and plan.location.table:
        return _create_in_catalog(spark, writer, plan, storage)
    if storage is None:
        raise TargetError(f"{plan.location.name} cannot be reached from this process.", next_step="use a Delta table.")
    if plan.creates and not storage.renames_atomically:
        return _write_in_place(spark, frame, writer, plan, storage)
    with staging(storage) as stage:
        writer.save(stage.new.uri)
        _keep_schema(spark, frame, plan, stage.new, stage.folder.below("empty"))
        files = stage.new.data_files()
        written = _count(plan, stage.new, files)
        notes = publish(stage, files, plan)
    _refresh(spark, plan)
    return Written(plan.location, None, written.rows, written.files, written.size_bytes, notes)


def publish(stage: Stage, files: list[DataFile], plan: WritePlan) -> tuple[str, ...]:
    """Move staged files into their place as the write mode says; returns notes for the report."""
    if plan.creates:
        create_table(stage)
    elif plan.mode == "overwrite":
        replace_table(stage)
    elif plan.scope is not None:
        emptied = replace_partitions(stage, files, plan.scope)
        return tuple(f"The partition {folder} got no row and was emptied." for folder in emptied)
    else:
        add_files(stage, [file for file in files if file.path != EMPTY_TABLE_FILE])
    return ()


def _write_in_place(
    spark: SparkSession, frame: DataFrame, writer: DataFrameWriter, plan: WritePlan, storage: Storage
) -> Written:
    """Write a new table straight into its folder: on an object store a rename would copy every file."""
    with removed_on_failure(storage):
        writer.save(storage.uri)
    _keep_schema(spark, frame, plan, storage, storage.below("_spark_infer_empty"))
    return _count(plan, storage, storage.data_files())


def _create_in_catalog(
    spark: SparkSession, writer: DataFrameWriter, plan: WritePlan, expected: Storage | None
) -> Written:
    table = plan.location.table or ""
    with removed_on_failure(expected):
        writer.saveAsTable(table)
    entry = describe(spark, table)
    place = canonical(entry.location, here=plan.location.same_disk) if entry and entry.location else None
    storage = replace(plan.location, path=place).storage()
    if storage is None:
        notes = ("The rows were not counted: this process cannot reach the table's folder.",)
        return Written(plan.location, None, 0, 0, 0, notes)
    return _count(plan, storage, storage.data_files())


def _count(plan: WritePlan, storage: Storage, files: list[DataFile]) -> Written:
    rows = sum(footer.rows for footer in read_footers(storage, [file.path for file in files]))
    return Written(plan.location, None, rows, len(files), sum(file.size for file in files))


def _keep_schema(spark: SparkSession, frame: DataFrame, plan: WritePlan, folder: Storage, scratch: Storage) -> None:
    """Give a partitioned table without rows one file that holds its columns; Spark writes none."""
    if folder.data_files():
        return
    spark.createDataFrame([], frame.schema).coalesce(1).write.parquet(scratch.uri)
    (empty,) = scratch.data_files()
    with scratch.files.open_input_file(scratch.at(empty.path)) as stream:
        rows = pq.read_table(stream)
    partitions = dict(zip(plan.partition_by, plan.partition_types, strict=True))
    metadata = {**(rows.schema.metadata or {}), PARTITIONED_BY: json.dumps(partitions).encode()}
    folder.files.create_dir(folder.root)
    with folder.files.open_output_stream(folder.at(EMPTY_TABLE_FILE)) as stream:
        pq.write_table(rows.replace_schema_metadata(metadata), stream)
    scratch.files.delete_dir(scratch.root)


def _refresh(spark: SparkSession, plan: WritePlan) -> None:
    if plan.location.table:
        if plan.partition_by:
            spark.sql(f"MSCK REPAIR TABLE {plan.location.table} SYNC PARTITIONS")
        spark.sql(f"REFRESH TABLE {plan.location.table}")
    else:
        spark.catalog.refreshByPath(plan.location.path or "")
