"""Merge staged rows into a Delta table by keys, with Spark: the only publisher that needs it.

The rows are scored and staged first. A model inside MERGE would be asked twice, because Spark may evaluate the source
of a merge twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_infer.errors import CommitConflictError, SourceError, TargetError, WriteError
from spark_infer.runtime.process_state import this_process
from spark_infer.spark.analysis import condition, sentence_of
from spark_infer.spark.exceptions import translate
from spark_infer.spark.metering import free_name
from spark_infer.spark.tables.settings import can_set, settings
from spark_infer.spark.tables.staged_rows import staged_rows
from spark_infer.tables.delta.commit import version_of
from spark_infer.tables.delta.written_before import metrics_of, taken
from spark_infer.tables.ledger.entry import Sealed
from spark_infer.tables.location import TableLocation
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.publishing.tries import tried
from spark_infer.tables.publishing.work import Ended, PublishWork

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TXN_APP = "spark.databricks.delta.write.txnAppId"
TXN_VERSION = "spark.databricks.delta.write.txnVersion"
"""What a MERGE is recognised by in the table's log; SQL takes it from the session's settings."""

_CONFLICT = "DELTA_CONCURRENT"


class MergeDelta:
    """One MERGE for all units.

    Args:
        spark: The session.
        work: The run.
        removed: The keys of rows that are taken out of the table; None for none.
    """

    one_by_one = False

    def __init__(self, spark: SparkSession, work: PublishWork, removed: DataFrame | None = None) -> None:
        self._spark = spark
        self._work = work
        self._removed = removed

    def publish(self, sealed: Sealed) -> int | None:
        """Nothing is published before the end."""
        return None

    def finish(self, entries: Sequence[Sealed]) -> Ended:
        """Merge all rows, unless the table's log says that this was done."""
        work = self._work
        if self._removed is None and not any(entry.rows for entry in entries):
            return Ended(notes=("No row was scored, and so nothing was merged.",))
        tried(self._taken, lambda done: None if done else self._merge(entries), work.plan.location.name)
        version = version_of(work.table, work.stamp())
        metrics = {} if version is None else metrics_of(work.table, version)
        counts = [metrics.get(f"numTargetRows{name}") for name in ("Updated", "Inserted", "Deleted")]
        replaced, added, removed = (None if count is None else int(count) for count in counts)
        notes = _twice(entries, replaced, added)
        removed = None if self._removed is None else removed
        return Ended(version=version, replaced=replaced, added=added, removed=removed, notes=notes)

    def _taken(self) -> bool:
        return bool(taken(self._work.table, self._work.app))

    def _merge(self, entries: Sequence[Sealed]) -> None:
        try:
            self._by_sql(entries)
        except Exception as error:
            # The commit may be there although its reply was lost.
            if self._taken():
                return
            name = self._work.plan.location.name
            if _CONFLICT in str(error):
                raise _conflict(name) from error
            explained = translate(error)
            if explained is error:
                raise
            raise explained or _refused(name, error) from error

    def _by_sql(self, entries: Sequence[Sealed]) -> None:
        work, view = self._work, f"spark_infer_{uuid.uuid4().hex}"
        self._source(entries).createOrReplaceTempView(view)
        gone = self._gone
        delete, insert = (f" WHEN MATCHED AND s.{gone} THEN DELETE", f" AND NOT s.{gone}") if gone else ("", "")
        txn = work.txn(0)
        held = {
            TXN_APP: txn.app,
            TXN_VERSION: str(txn.version),
            "spark.databricks.delta.commitInfo.userMetadata": work.stamp(),
        }
        same = " AND ".join(f"t.{quote_name(key)} <=> s.{quote_name(key)}" for key in work.plan.keys)
        # By name: the table may have columns that the rows do not bring, which Delta fills in new rows.
        names = [quote_name(name) for name in work.schema.names]
        values = [f"s.{name}" for name in names]
        update = ", ".join(f"t.{name} = {value}" for name, value in zip(names, values, strict=True))
        this_process().failpoints.reach("commit")
        try:
            with settings(self._spark, held):
                self._spark.sql(
                    f"MERGE INTO {work.plan.location.sql} AS t USING {view} AS s ON {same}{delete} "
                    f"WHEN MATCHED THEN UPDATE SET {update} WHEN NOT MATCHED{insert} THEN "
                    f"INSERT ({', '.join(names)}) VALUES ({', '.join(values)})"
                )
        finally:
            self._spark.catalog.dropTempView(view)
        this_process().failpoints.reach("committed")
        if not self._taken():
            raise WriteError(
                f"The log of {work.plan.location.name} does not have the merge that Spark reported.",
                next_step="run the same command again: the rows are scored and kept.",
            )

    @property
    def _gone(self) -> str:
        """The column that says of a row that it is removed; "" where none is."""
        return "" if self._removed is None else free_name(self._work.schema.names, "spark_infer_gone")

    def _source(self, entries: Sequence[Sealed]) -> DataFrame:
        """The staged rows, and the keys of those that are removed."""
        work, staged = self._work, staged_rows(self._spark, self._work, entries)
        since = None if work.bookmark is None else work.bookmark.since
        if since is not None and (doubled := _doubled(staged, work.plan.keys)):
            raise _ambiguous(work.plan.location.name, doubled, work.plan.keys)
        if self._removed is None:
            return staged
        removed = self._removed.withColumn(self._gone, F.lit(True))
        return staged.withColumn(self._gone, F.lit(False)).unionByName(removed, allowMissingColumns=True)


def _twice(entries: Sequence[Sealed], replaced: int | None, added: int | None) -> tuple[str, ...]:
    more = (replaced or 0) + (added or 0) - sum(entry.rows for entry in entries)
    if more <= 0:
        return ()
    return (f"The target has keys that occur more than once: {more:,} rows beyond those scored were updated as well.",)


def refuse_unrecognisable(spark: SparkSession, location: TableLocation) -> None:
    """Refuse a merge in a session that will not give its commit an identifier, which has no other way in than settings.

    Raises:
        TargetError: After a lost reply it would not be known whether the rows were merged.
    """
    refused = [name for name in (TXN_APP, TXN_VERSION) if not can_set(spark, name)]
    if refused:
        raise TargetError(
            f"This session does not let a merge into {location.name} be recognised afterwards.",
            details=[f"it refuses the setting {name}" for name in refused],
            next_step="choose overwrite_partitions or overwrite, or run on a cluster that takes these settings.",
        )


def refuse_doubled_keys(rows: DataFrame, keys: Sequence[str], name: str) -> None:
    """Refuse a source in which a key occurs twice: which of its rows would the target get?

    One Spark job over the key columns, with a shuffle of them.

    Args:
        rows: The rows to score, as Spark reads them.
        keys: The key columns.
        name: The source, for the message.

    Raises:
        SourceError: At least one does; the model has not run.
    """
    if doubled := _doubled(rows, keys):
        raise SourceError(
            f"{doubled:,} keys occur more than once in {name}, so that a merge could not tell which row is meant.",
            details=[f"keys: {', '.join(keys)}", "the model has not run, and nothing was written"],
            next_step="leave out the rows that should not count with `where`, or name further `keys`.",
        )


def _doubled(rows: DataFrame, keys: Sequence[str]) -> int:
    """How many keys occur more than once."""
    return rows.groupBy(*map(quote_name, keys)).count().where("count > 1").count()


def _ambiguous(name: str, doubled: int, keys: Sequence[str]) -> WriteError:
    return WriteError(
        f"{doubled:,} keys occur more than once in the new rows: a merge into {name} cannot tell which row is meant.",
        details=[f"keys: {', '.join(keys)}", "nothing of this run is in the table"],
        next_step="see to these rows in the source, then start a new run with --new-run, which scores all of its rows.",
    )


def _refused(name: str, error: Exception) -> WriteError:
    # What an analysis says is of columns; what is said later may be of rows.
    of_columns = type(error).__name__ == "AnalysisException"
    why = sentence_of(error) if of_columns else condition(error) or "its job failed"
    return WriteError(
        f"Spark did not merge into {name}: {why}",
        details=["The rows are scored and kept; nothing of this run is in the table."],
        next_step="see to the table's rules, then run the same command again: it goes on from here.",
    )


def _conflict(name: str) -> CommitConflictError:
    return CommitConflictError.during(name, "while this run merged.")
