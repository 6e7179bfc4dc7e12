"""Delta's own reader and writer in a Spark session."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_infer.errors import SourceError
from spark_infer.spark.analysis import condition
from spark_infer.spark.tables.delta.checking import check_delta
from spark_infer.spark.tables.delta.merging import MergeDelta
from spark_infer.spark.tables.delta.reading import delta_frame, delta_refused
from spark_infer.spark.tables.delta.writing import write_delta, written_before
from spark_infer.tables.formats import format_of
from spark_infer.tables.location import TableLocation
from spark_infer.tables.plan import WritePlan, Written
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.publishing.work import Publisher, PublishWork
from spark_infer.tables.snapshot import Snapshot


class SparkDelta:
    """Delta tables; a `SparkFormat`."""

    name = "delta"

    def publisher(self, spark: SparkSession, work: PublishWork, removed: DataFrame | None) -> Publisher:
        """Have Spark merge; all other modes commit files as the format does without Spark."""
        return MergeDelta(spark, work, removed) if work.plan.merges else format_of(self.name).publisher(work)

    def is_at(self, spark: SparkSession, uri: str) -> bool:
        """Ask Delta for the table's details."""
        try:
            return bool(spark.sql(f"DESCRIBE DETAIL delta.{quote_name(uri)}").collect()[0]["format"] == self.name)
        except Exception as error:
            if not condition(error).startswith(("DELTA_", "PARSE_SYNTAX", "PATH_NOT_FOUND")):
                raise
            return False

    def check(self, spark: SparkSession) -> None:
        """Ask for Delta's jar, its SQL extension and its catalog."""
        check_delta(spark)

    def describe(
        self, spark: SparkSession, location: TableLocation, version: int | None, partition_columns: tuple[str, ...]
    ) -> Snapshot:
        """Have Delta read the log, in small jobs of its own."""
        try:
            if version is None:
                version = int(spark.sql(f"DESCRIBE HISTORY {location.sql} LIMIT 1").collect()[0]["version"])
            types = {each.name: each.dataType.simpleString() for each in delta_frame(spark, location, version).schema}
            detail = spark.sql(f"DESCRIBE DETAIL {location.sql}").collect()[0]
        except SourceError:
            raise
        except Exception as error:
            raise delta_refused(location, error) from error
        columns = tuple(detail["partitionColumns"])
        return Snapshot(
            location=location,
            version=version,
            partition_columns=columns,
            partition_types=tuple(types.get(name, "string") for name in columns),
            rows=None,
            files=None,
            size_bytes=None,
            table_id=str(detail["id"] or ""),
        )

    def frame(self, spark: SparkSession, snapshot: Snapshot) -> DataFrame:
        """The table at its pinned version."""
        return delta_frame(spark, snapshot.location, snapshot.version)

    def stream(
        self, spark: SparkSession, snapshot: Snapshot, schema: StructType, options: Mapping[str, str | int | bool]
    ) -> DataFrame:
        """The log says which columns it has, and which files come."""
        reader, location = spark.readStream.format(self.name).options(**options), snapshot.location
        return reader.table(location.table) if location.table else reader.load(location.path)

    def write(
        self, rows: DataFrame, plan: WritePlan, facts: Mapping[str, str | int | float], txn: tuple[str, int] | None
    ) -> Written:
        """One commit."""
        return write_delta(rows, plan, facts, txn)

    def written_before(
        self, spark: SparkSession, plan: WritePlan, facts: Mapping[str, str | int | float]
    ) -> Written | None:
        """Look into the table's history."""
        return written_before(spark, plan, facts)

    def refresh(self, spark: SparkSession, plan: WritePlan) -> None:
        """Nothing to do: the session looks at the log each time."""

    def columns_in_catalog(self, spark: SparkSession, plan: WritePlan) -> str:
        """Nothing: the log has them."""
        return ""
