"""Have Spark write the rows of a run into a table that they were staged beside, unit by unit."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import SparkSession

from spark_infer.runtime.process_state import this_process
from spark_infer.spark.exceptions import translated
from spark_infer.spark.tables.register import register
from spark_infer.spark.tables.spark_formats import spark_format_of
from spark_infer.spark.tables.staged_rows import staged_rows
from spark_infer.spark.tables.write import write
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.publishing.work import Ended, PublishWork


class PublishStagedRows:
    """One write of Spark for all units, recognised afterwards by its commit.

    Args:
        spark: The session.
        work: The run.
    """

    one_by_one = False

    def __init__(self, spark: SparkSession, work: PublishWork) -> None:
        self._spark = spark
        self._work = work

    def publish(self, sealed: Sealed) -> int | None:
        """Nothing is published before the end."""
        return None

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Write all rows, unless the table says that this was done."""
        work, txn = self._work, self._work.txn(0)
        with translated():
            table_format = spark_format_of(work.plan.location.format)
            written = table_format.written_before(self._spark, work.plan, work.facts)
            if written is None:
                this_process().failpoints.reach("commit")
                rows = staged_rows(self._spark, work, entries)
                written = write(rows, work.plan, facts=work.facts, txn=(txn.app, txn.version))
                this_process().failpoints.reach("committed")
            elif work.plan.is_registered_last:
                register(self._spark, work.plan)
        return Ended(version=written.version, notes=written.notes, written=written)
