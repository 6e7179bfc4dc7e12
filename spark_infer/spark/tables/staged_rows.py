"""Rows that were scored and staged beside a table, as a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession

from spark_infer.spark.schema import to_spark
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.publishing.move_files import refuse_links
from spark_infer.tables.publishing.work import PublishWork


def staged_rows(spark: SparkSession, work: PublishWork, entries: Sequence[Sealed]) -> DataFrame:
    """Return the rows of some units, as they lie beside the table.

    Raises:
        LedgerError: A file is reached through a symbolic link.
    """
    schema = to_spark(work.schema)
    for each in entries:
        refuse_links(work.folder(each.session), [file.path for file in each.files])
    uris = [f"{work.folder(each.session).uri}/{file.path}" for each in entries for file in each.files]
    return spark.read.schema(schema).parquet(*uris) if uris else spark.createDataFrame([], schema)
