"""Have Spark write Parquet: into a folder of our own, or where a new table is going to be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from pyarrow import parquet as pq

from spark_infer.errors import TargetError
from spark_infer.spark.schema import as_ddl
from spark_infer.spark.tables.catalog import SparkCatalog
from spark_infer.tables.listing import Footer
from spark_infer.tables.location import canonical
from spark_infer.tables.parquet.footers import read_footers
from spark_infer.tables.parquet.table_snapshot import EMPTY_TABLE_FILE, PARTITIONED_BY
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.predicate import quote_name, quote_text
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.staging import removed_on_failure
from spark_infer.tables.storage import DataFile, Storage, partition_values

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession


def write_parquet(frame: DataFrame, plan: WritePlan) -> Written:
    """Make a new table of the catalog or on an object store, and count its rows from the footers of its files."""
    spark = frame.sparkSession
    writer = _writer(frame, plan)
    storage = plan.location.storage()
    if plan.made_by_catalog:
        return _create_in_catalog(spark, writer, plan, storage)
    if storage is None:
        raise TargetError(f"{plan.location.name} cannot be reached from this process.", next_step="use a Delta table.")
    if plan.creates and not storage.renames_atomically:
        return _write_in_place(spark, frame, writer, plan, storage)
    raise TargetError(f"The rows of {plan.location.name} are staged first.")  # `stage_parquet`, then a publisher


def stage_parquet(frame: DataFrame, plan: WritePlan, folder: Storage, *, last: bool) -> list[WrittenFile]:
    """Have Spark write the frame into a folder of our own, and count the rows in the footers of the folder's files."""
    spark = frame.sparkSession
    _writer(frame, plan).mode("append").save(folder.uri)
    if last:
        _keep_schema(spark, frame, plan, folder, folder.beside(f"{folder.name}.empty"))
    files = folder.data_files()
    footers = read_footers(folder, [file.path for file in files])
    return [
        WrittenFile(path=file.path, size=file.size, rows=_rows(footer), values=partition_values(file.path))
        for file, footer in zip(files, footers, strict=True)
    ]


def refresh_parquet(spark: SparkSession, plan: WritePlan) -> None:
    """Have this session see the new files of a Parquet table."""
    if plan.location.table and not plan.made_by_catalog:
        if plan.partition_by:
            spark.sql(f"MSCK REPAIR TABLE {plan.location.table} SYNC PARTITIONS")
        spark.sql(f"REFRESH TABLE {plan.location.table}")
    elif plan.location.path and not plan.location.table:
        spark.catalog.refreshByPath(plan.location.path)


def columns_in_catalog(spark: SparkSession, plan: WritePlan) -> str:
    """Return the columns of a folder, and those that it is partitioned by, as a statement lists them."""
    parts = dict(zip(plan.partition_by, plan.partition_types, strict=True))
    found = {field.name: as_ddl(field.dataType) for field in spark.read.parquet(plan.location.path or "").schema}
    said = {name: f" COMMENT {quote_text(comment)}" for name, comment in plan.comments.items()}
    columns = {**found, **parts}
    listed = ", ".join(f"{quote_name(name)} {kind}{said.get(name, '')}" for name, kind in columns.items())
    return f" ({listed})"


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
    entry = SparkCatalog(spark).describe(table)
    place = canonical(entry.location, here=plan.location.same_disk) if entry and entry.location else None
    storage = replace(plan.location, path=place).storage()
    if storage is None:
        notes = ("The rows were not counted: this process cannot reach the table's folder.",)
        return Written(plan.location, None, 0, 0, 0, notes)
    return _count(plan, storage, storage.data_files())


def _count(plan: WritePlan, storage: Storage, files: list[DataFile]) -> Written:
    rows = sum(_rows(footer) for footer in read_footers(storage, [file.path for file in files]))
    return Written(plan.location, None, rows, len(files), sum(file.size for file in files))


def _rows(footer: Footer) -> int:
    if footer.rows is None:
        raise TargetError(
            f"The rows that Spark wrote cannot be counted: {footer.doubt}.",
            next_step="leave the footers unencrypted (parquet.encryption.plaintext.footer), or write to a Delta table.",
        )
    return footer.rows


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


def _writer(frame: DataFrame, plan: WritePlan) -> DataFrameWriter:
    # The newer commit algorithm publishes the files of tasks that fail later.
    writer = frame.write.format("parquet").option("mapreduce.fileoutputcommitter.algorithm.version", "1")
    return writer.mode("error").partitionBy(*plan.partition_by)
