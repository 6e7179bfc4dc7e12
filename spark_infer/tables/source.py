"""Find a source, pin what there is of it, and check the partitions asked for."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING

from spark_infer.config import SourceConfig
from spark_infer.errors import SourceError, nearest
from spark_infer.tables import delta, parquet
from spark_infer.tables.catalog import describe, near_tables
from spark_infer.tables.disk import same_disk
from spark_infer.tables.location import TableLocation, locate, looking_at, qualify
from spark_infer.tables.predicate import PartitionScope, partition_scope
from spark_infer.tables.scan.doubts import partition_doubts
from spark_infer.tables.settings import refuse_lossy_settings
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage, open_storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def open_snapshot(spark: SparkSession | None, source: SourceConfig) -> Snapshot:
    """Find the source, pin its version, and check the partitions asked for; no Spark job reads its rows.

    Looks at Delta's log and Parquet's footers from this process. Where it cannot reach the file system, Spark reads
    Delta's log in small jobs of its own.

    Args:
        spark: The session; None where there is none.
        source: What to read.

    Raises:
        SourceError: The table is missing, empty, damaged or of another format, the version does not exist, or
            ``partition_filter`` does not fit the table's partitions.
        EnvironmentProblem: The session's settings can lose rows, or it has no Delta.
    """
    refuse_lossy_settings(spark)
    with looking_at(source):
        return _open(spark, source)


def scope_of(snapshot: Snapshot, source: SourceConfig) -> PartitionScope:
    """Return the table partitions of a source that ``partition_filter`` asks for.

    Raises:
        SourceError: The filter does not fit the table's partitions.
    """
    scope, problems = partition_scope(source.partition_filter, snapshot.types)
    if problems:
        raise SourceError(
            f"`partition_filter` does not fit the partitions of {snapshot.location.name}.",
            details=problems,
            next_step="filter by other columns, and by conditions, with `where`.",
        )
    return scope


def _open(spark: SparkSession | None, source: SourceConfig) -> Snapshot:
    location = locate(spark, source)
    if location is None:
        raise _missing(spark, source)
    if location.format == "delta":
        if spark is not None:
            delta.check_delta(spark)
        return _delta_snapshot(spark, location, source)
    if source.version is not None:
        raise SourceError(
            f"{location.name} is a Parquet table and has no versions; `version: {source.version}` was asked for.",
            next_step="leave `version` out.",
        )
    return _parquet_snapshot(spark, location, source)


def _delta_snapshot(spark: SparkSession | None, location: TableLocation, source: SourceConfig) -> Snapshot:
    return _within(delta.snapshot(spark, location, source.version), source)


def _within(snapshot: Snapshot, source: SourceConfig) -> Snapshot:
    """Narrow a snapshot to the partitions asked for."""
    if not source.partition_filter:
        return snapshot
    scope = scope_of(snapshot, source)
    if snapshot.listing is None:
        return replace(snapshot, rows=None, files=None, size_bytes=None)
    doubts = partition_doubts(snapshot.listing.files, {each.name: each.type_name for each in scope.columns})
    inside = snapshot.listing.within(scope.holds)
    if doubts:
        # Spark may find more rows inside than the texts say.
        return replace(
            snapshot, rows=None, files=None, size_bytes=None, listing=replace(inside, doubts=(*inside.doubts, *doubts))
        )
    return replace(snapshot, rows=inside.rows, files=len(inside.files), size_bytes=inside.size_bytes, listing=inside)


def _parquet_snapshot(spark: SparkSession | None, location: TableLocation, source: SourceConfig) -> Snapshot:
    storage = location.storage()
    entry = describe(spark, source.table) if source.table and spark else None
    if spark is not None and (storage is None or (entry is not None and entry.partition_columns)):
        # The catalog, not the folder, knows which partitions belong to the table.
        return _within(_unlisted(spark, location, entry.partition_columns if entry else ()), source)
    if storage is None:
        raise SourceError(f"This process cannot reach {location.name}.")
    return parquet.counted(storage, _within(parquet.snapshot(storage, location), source))


def _unlisted(spark: SparkSession, location: TableLocation, columns: tuple[str, ...]) -> Snapshot:
    frame = spark.table(location.table) if location.table else spark.read.parquet(location.path or "")
    types = {each.name: each.dataType.simpleString() for each in frame.schema}
    return Snapshot(
        location=location,
        version=None,
        partition_columns=columns,
        partition_types=tuple(types[name] for name in columns),
        rows=None,
        files=None,
        size_bytes=None,
    )


def _missing(spark: SparkSession | None, source: SourceConfig) -> SourceError:
    if source.table is not None and spark is not None:
        return SourceError(
            f"There is no table {source.table} in the catalog{near_tables(spark, source.table)}.",
            next_step="check the name with SHOW TABLES; a name without a schema means the current one.",
        )
    uri = qualify(spark, source)
    storage = open_storage(uri, same_disk=same_disk(spark))
    shown = uri.removeprefix("file://")
    if storage is not None and storage.kind() == "folder":
        return SourceError(
            f"The folder {shown} holds no table: no Parquet file and no Delta log.",
            details=_hidden_tables(storage),
            next_step="name the table's own folder.",
        )
    if storage is not None and storage.kind() == "file":
        return SourceError(
            f"Spark reads no rows from {shown}: the file is empty, or its name marks it as hidden.",
            next_step="rename it, or name another file.",
        )
    beside = storage.parent().names() if storage is not None else []
    return SourceError(
        f"There is nothing at {shown}{nearest(posixpath.basename(uri), beside)}.",
        next_step="check the path; a relative one starts in the folder that "
        f"{'this command' if spark is None else 'Spark'} was started in.",
    )


def _hidden_tables(storage: Storage) -> list[str]:
    names = storage.names()
    return [f"It holds: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"] if names else ["It is empty."]
