"""Sources whose rows are stored first, in a Spark session: it knows their columns, and stores their rows."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from spark_infer.errors import SourceError
from spark_infer.tables.snapshot import Snapshot


class SparkStored:
    """What only Spark can read; a `SparkSource`."""

    name = "stored"

    def check(self, spark: SparkSession) -> None:
        """Accept: what a session cannot read is known when its columns are asked for."""

    def frame(self, spark: SparkSession, snapshot: Snapshot) -> DataFrame:
        """Refuse: a snapshot does not say how such rows are read, which `asked_rows` knows from the job."""
        raise SourceError(f"The rows of {snapshot.location.name} are not stored yet.", next_step="run the job again.")
