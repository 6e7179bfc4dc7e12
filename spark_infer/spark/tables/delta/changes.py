"""The rows of a Delta table that changed after a version, by its change data feed.

https://docs.delta.io/delta-change-data-feed/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from spark_infer.spark.metering import free_name
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.snapshot import Snapshot

_OWN = ("_change_type", "_commit_version", "_commit_timestamp")


@dataclass(frozen=True)
class Changes:
    """What changed, by key, as it is at the end.

    Attributes:
        rows: The rows that were added or changed.
        removed: The keys of rows that are not there any more.
    """

    rows: DataFrame
    removed: DataFrame

    def left_out(self, kept: DataFrame) -> DataFrame:
        """Return the keys of all rows that are not, or are no longer, among those that a job selects.

        Args:
            kept: The changed rows that it selects.
        """
        keys = [quote_name(name) for name in self.removed.columns]
        return self.rows.select(*keys).exceptAll(kept.select(*keys)).unionAll(self.removed)


def changes(spark: SparkSession, snapshot: Snapshot, keys: Sequence[str]) -> Changes:
    """Return what changed after the bookmark of a snapshot, up to its version; nothing runs yet.

    Of each key the newest change counts. An update that gives a row another key removes the old one.

    Args:
        spark: The session.
        snapshot: The source.
        keys: The columns that distinguish its rows.
    """
    version, location = snapshot.version, snapshot.location
    since = -1 if snapshot.since is None else snapshot.since.source_version
    reader = spark.read.format("delta").option("readChangeFeed", "true")
    reader = reader.option("startingVersion", since + 1).option("endingVersion", version)
    feed = reader.table(location.table) if location.table else reader.load(location.path)
    columns = [quote_name(name) for name in feed.columns if name not in _OWN]
    named = [quote_name(key) for key in keys]
    order = free_name(feed.columns)
    is_there = F.col("_change_type").isin("insert", "update_postimage")
    newest = Window.partitionBy(*named).orderBy(F.col("_commit_version").desc(), is_there.desc())
    # Not the first row alone: a key that came twice in one commit is found out before anything is merged.
    last = feed.withColumn(order, F.rank().over(newest)).where(F.col(order) == 1)
    return Changes(
        rows=last.where(is_there).select(*columns),
        removed=last.where(~is_there).select(*named).distinct(),
    )
