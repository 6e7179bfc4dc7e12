"""Spark's Parquet source in a Spark session."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_infer.spark.analysis import condition
from spark_infer.spark.tables.parquet.reading import parquet_frame
from spark_infer.spark.tables.parquet.writing import columns_in_catalog, refresh_parquet, write_parquet
from spark_infer.spark.tables.settings import calendar_options
from spark_infer.tables.formats import format_of
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot


class SparkParquet:
    """Parquet tables; a `SparkFormat`."""

    name = "parquet"

    def publisher(self, spark: SparkSession, work: PublishWork, removed: DataFrame | None) -> Publisher:
        """Move files as the format does without Spark."""
        return format_of(self.name).publisher(work)

    def is_at(self, spark: SparkSession, uri: str) -> bool:
        """Have Spark look at the folder's files."""
        try:
            spark.read.parquet(uri).schema  # noqa: B018 - Spark Connect looks only when the schema is asked for
        except Exception as error:
            if condition(error).startswith(("PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA")):
                return False
            raise
        return True

    def check(self, spark: SparkSession) -> None:
        """Accept: Spark itself reads them."""

    def describe(
        self, spark: SparkSession, location: TableLocation, version: int | None, partition_columns: tuple[str, ...]
    ) -> Snapshot:
        """Have Spark list the folder, or ask its catalog."""
        frame = spark.table(location.table) if location.table else spark.read.parquet(location.path or "")
        types = {each.name: each.dataType.simpleString() for each in frame.schema}
        return Snapshot(
            location=location,
            version=None,
            partition_columns=partition_columns,
            partition_types=tuple(types[name] for name in partition_columns),
            rows=None,
            files=None,
            size_bytes=None,
        )

    def frame(self, spark: SparkSession, snapshot: Snapshot) -> DataFrame:
        """The files that the folder, or the catalog, has."""
        return parquet_frame(spark, snapshot)

    def stream(
        self, spark: SparkSession, snapshot: Snapshot, schema: StructType, options: Mapping[str, str | int | bool]
    ) -> DataFrame:
        """Spark lists the folder before each micro-batch; files that come later have the columns of now."""
        chosen = calendar_options(spark) | dict(options)
        return spark.readStream.schema(schema).options(**chosen).parquet(snapshot.location.path or "")

    def write(
        self, rows: DataFrame, plan: WritePlan, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> Written:
        """A new table; what is written into others is staged first."""
        return write_parquet(rows, plan)

    def written_before(
        self, spark: SparkSession, plan: WritePlan, facts: Mapping[str, str | int | float]
    ) -> Written | None:
        """None: files do not say which run wrote them."""
        return None

    def refresh(self, spark: SparkSession, plan: WritePlan) -> None:
        """Forget the listing that the session keeps."""
        refresh_parquet(spark, plan)

    def columns_in_catalog(self, spark: SparkSession, plan: WritePlan) -> str:
        """The columns of the files, and those that the folders have."""
        return columns_in_catalog(spark, plan)
