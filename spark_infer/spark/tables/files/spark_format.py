"""Folders of files in a Spark session: it knows their columns, and workers read them."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from spark_infer.spark.schema import to_spark
from spark_infer.tables.files.table_snapshot import COLUMNS
from spark_infer.tables.snapshot import Snapshot


class SparkFiles:
    """Folders of files; a `SparkSource`."""

    name = "files"

    def check(self, spark: SparkSession) -> None:
        """Accept: no session reads them."""

    def frame(self, spark: SparkSession, snapshot: Snapshot) -> DataFrame:
        """Return a frame without rows, which has the columns: Spark says whether conditions fit them."""
        return spark.createDataFrame([], to_spark(COLUMNS))
