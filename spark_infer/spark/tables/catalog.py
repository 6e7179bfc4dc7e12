"""What the catalog of a Spark session says about a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spark_infer.errors import TargetError, nearest
from spark_infer.spark.analysis import condition
from spark_infer.tables.predicate import quote_name, quote_table
from spark_infer.tables.table_lookup import CatalogEntry

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DETAILS = "# Detailed Table Information"


class SparkCatalog:
    """The catalog of a session; a `Catalog` of the tables that a job names."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def describe(self, table: str) -> CatalogEntry | None:
        """Describe a table of the catalog, without a Spark job; None where there is no such table.

        Raises:
            ValueError: ``table`` is not a table name.
        """
        name = quote_table(table)
        if not self._exists(self._spark.catalog.tableExists, name):
            return None
        rows = [(row[0], row[1]) for row in self._spark.sql(f"DESCRIBE TABLE EXTENDED {name}").collect()]
        titles = [title for title, _ in rows]
        details = dict(rows[titles.index("# Detailed Table Information") + 1 :]) if _DETAILS in titles else {}
        parts = [details.get("Catalog"), details.get("Database") or details.get("Namespace"), details.get("Table")]
        return CatalogEntry(
            name=".".join(quote_name(part) for part in parts if part) if all(parts) else name,
            kind=details.get("Type", ""),
            provider=details.get("Provider", "").lower(),
            location=details.get("Location", ""),
            partition_columns=_partition_columns(titles),
            buckets=details.get("Num Buckets", "0") not in ("", "0", "-1"),
        )

    def default_location(self, table: str) -> str:
        """Where the session catalog would put a new table; ``""`` where that cannot be known.

        Raises:
            TargetError: There is no such schema.
        """
        parts = quote_table(table).strip("`").split("`.`")
        schema = parts[-2] if len(parts) > 1 else self._spark.catalog.currentDatabase()
        if len(parts) > 1:
            self._refuse_missing(table, ".".join(map(quote_name, parts[:-1])))
        if self._spark.catalog.currentCatalog() != "spark_catalog" or (len(parts) > 2 and parts[0] != "spark_catalog"):
            return ""
        location = self._spark.catalog.getDatabase(quote_name(schema)).locationUri
        return f"{location.rstrip('/')}/{parts[-1].replace('``', '`').lower()}" if location else ""

    @staticmethod
    def _exists(exists: Callable[[str], bool], name: str) -> bool:
        try:
            return exists(name)
        except Exception as error:
            if condition(error) == "REQUIRES_SINGLE_PART_NAMESPACE":  # its first part is not a catalog of the session
                return False
            raise

    def _refuse_missing(self, table: str, schema: str) -> None:
        if self._exists(self._spark.catalog.databaseExists, schema):
            return
        catalog, _, name = schema.strip("`").rpartition("`.`")
        try:
            rows = self._spark.sql(f"SHOW SCHEMAS{f' IN {quote_name(catalog)}' if catalog else ''}").collect()
        except Exception:  # no such catalog, or no right to list it: there is nothing to propose
            rows = []
        more = f"; a catalog {catalog} has to be set in the session (spark.sql.catalog.{catalog})" if catalog else ""
        raise TargetError(
            f"There is no schema {schema.replace('`', '')} for the new table{nearest(name, [row[0] for row in rows])}.",
            details=[f"target: {table}"],
            next_step=f"make it with CREATE SCHEMA {schema}, or name another one{more}.",
        )

    def near_tables(self, table: str) -> str:
        """Name the tables beside a missing one that are spelled most like it."""
        parts = table.replace("`", "").split(".")
        schema = ".".join(map(quote_name, parts[:-1]))
        try:
            rows = self._spark.sql(f"SHOW TABLES{f' IN {schema}' if schema else ''}").collect()
        except Exception:  # no such schema, or no right to list it: there is nothing to propose
            return ""
        return nearest(parts[-1], [row["tableName"] for row in rows])


def _partition_columns(titles: list[str]) -> tuple[str, ...]:
    if "# Partition Information" not in titles:
        return ()
    below = titles[titles.index("# Partition Information") + 2 :]
    end = next((at for at, title in enumerate(below) if not title or title.startswith("# ")), len(below))
    return tuple(below[:end])
