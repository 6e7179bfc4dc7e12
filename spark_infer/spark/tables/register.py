"""Have the catalog know a new table whose folder is complete, by its name and with its properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import SparkSession

from spark_infer.errors import SparkInferError, WriteError
from spark_infer.runtime.process_state import this_process
from spark_infer.spark.analysis import sentence_of
from spark_infer.spark.tables.catalog import SparkCatalog
from spark_infer.spark.tables.spark_formats import spark_format_of
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.location import canonical
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.predicate import quote_name, quote_text
from spark_infer.tables.publishing.work import Ended, Publisher


class ThenRegistered:
    """A publisher after whose end the catalog knows the table.

    A run that was killed in between is unfinished, and the same command registers the name.

    Args:
        publisher: Publishes the rows.
        spark: The session.
        plan: The write.
    """

    def __init__(self, publisher: Publisher, spark: SparkSession, plan: WritePlan) -> None:
        self.one_by_one = publisher.one_by_one
        self._publisher = publisher
        self._spark = spark
        self._plan = plan

    def publish(self, sealed: Sealed) -> int | None:
        """Publish a unit."""
        return self._publisher.publish(sealed)

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Publish what is left, and register the table."""
        ended = self._publisher.finish(entries)
        register(self._spark, self._plan)
        return ended


def register(spark: SparkSession, plan: WritePlan) -> None:
    """Register a new table, unless the catalog knows the name, and set its properties.

    One that was killed while Spark made a managed table is registered with its folder, and so is an external table.

    Raises:
        WriteError: The catalog refuses.
    """
    location = plan.location
    if location.table is None:
        return
    this_process().failpoints.reach("register")
    table_format = spark_format_of(location.format)
    try:
        if not spark.catalog.tableExists(location.table):
            spark.sql(_statement(plan, table_format.columns_in_catalog(spark, plan)))
        _refuse_other_table(spark, plan)
        _set_properties(spark, location.table, plan.properties)
        table_format.refresh(spark, plan)
    except SparkInferError:
        raise
    except Exception as error:
        raise WriteError(
            f"The rows are in {location.path}, and the catalog does not register them as {location.name}: "
            f"{sentence_of(error)}",
            next_step="see to the catalog, then run the same command again: it only registers the name.",
        ) from error
    this_process().failpoints.reach("registered")


def _statement(plan: WritePlan, columns: str) -> str:
    """The statement that registers a folder; columns and partitions are left to a log where there is one."""
    named = (
        f" PARTITIONED BY ({', '.join(map(quote_name, plan.partition_by))})" if columns and plan.partition_by else ""
    )
    location = plan.location
    place = quote_text(location.path or "")
    return f"CREATE TABLE IF NOT EXISTS {location.table}{columns} USING {location.format}{named} LOCATION {place}"


def _set_properties(spark: SparkSession, table: str, wanted: Mapping[str, str]) -> None:
    """Set the properties that the table does not have yet: of Delta each statement is a commit."""
    has = {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES {table}").collect()} if wanted else {}
    lacking = {name: value for name, value in wanted.items() if has.get(name) != value}
    if lacking:
        pairs = ", ".join(f"{quote_text(name)} = {quote_text(value)}" for name, value in lacking.items())
        spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ({pairs})")


def _refuse_other_table(spark: SparkSession, plan: WritePlan) -> None:
    location = plan.location
    entry = SparkCatalog(spark).describe(location.table or "") if location.external else None
    if entry is not None and canonical(entry.location, here=location.same_disk) != location.path:
        raise WriteError(
            f"The rows are in {location.path}, and another table was registered as {location.name} meanwhile.",
            next_step="rename that table, then run the same command again: it only registers the name.",
        )
