"""Find a source, pin what there is of it, and check the partitions asked for."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace

from spark_infer.config import SourceConfig
from spark_infer.errors import SourceError, nearest
from spark_infer.tables.bookmark import ALL_ROWS, Keys, Span
from spark_infer.tables.formats import source_format_of
from spark_infer.tables.listing import SourceFile
from spark_infer.tables.locate import locate, qualify
from spark_infer.tables.location import TableLocation, looking_at
from spark_infer.tables.picked_rows import picked_rows
from spark_infer.tables.predicate import PartitionScope, partition_scope
from spark_infer.tables.scan.read_eligibility import partition_doubts
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.storage import Storage, open_storage
from spark_infer.tables.table_lookup import TableLookup
from spark_infer.tables.unknown_keys import with_unknown_keys


def open_snapshot(lookup: TableLookup, source: SourceConfig, span: Span = ALL_ROWS) -> Snapshot:
    """Find the source, pin its version, and check the partitions asked for; no Spark job reads its rows.

    Looks at Delta's log and Parquet's footers from this process. Where it cannot reach the file system, the engine
    reads Delta's log; Spark does so in small jobs of its own.

    Args:
        lookup: What the engine knows of tables.
        source: What to read.
        span: Which of its rows.

    Raises:
        SourceError: The table is missing, empty, damaged or of another format, the version does not exist, or
            ``partition_filter`` does not fit the table's partitions.
        EnvironmentProblem: The engine lacks what tables of the format need.
    """
    with looking_at(source):
        return _open(lookup, source, span)


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


def _open(lookup: TableLookup, source: SourceConfig, span: Span) -> Snapshot:
    location = locate(lookup, source)
    if location is None:
        raise _missing(lookup, source)
    table_format = source_format_of(location.format)
    lookup.check_format(location.format)
    if span.by is None:
        found = _within(table_format.source_snapshot(lookup, location, source, span), source)
    else:
        found = _spanned_or_by_key(lookup, location, source, span, span.by)
    found = found if span.reads is None else _only(found, span.reads)
    return table_format.counted(found) if span.picked is None else picked_rows(found, span.picked, table_format.counted)


def _spanned_or_by_key(
    lookup: TableLookup, location: TableLocation, source: SourceConfig, span: Span, keys: Keys
) -> Snapshot:
    """Find the rows of a span, by their keys where nothing else says which they are.

    A run that goes on has its rows in its tasks; of all files it looks only at what they are.
    """
    snapshot, why = source_format_of(location.format).source_snapshot, ""
    if span.since is not None:
        try:
            return _within(snapshot(lookup, location, source, span), source)
        except SourceError as error:
            why = f", since: {'; '.join(error.details) or error.what}"
    every = _within(snapshot(lookup, location, source, replace(span, since=None)), source)
    every = replace(every, since=span.since)
    if span.to is not None:
        return every
    found = with_unknown_keys(lookup, every, keys)
    return replace(found, note=f"rows count as new whose {', '.join(keys.columns)} the target lacks{why}")


def _only(snapshot: Snapshot, reads: Callable[[SourceFile], bool]) -> Snapshot:
    """Narrow a snapshot to some of its files."""
    if snapshot.listing is None:
        return snapshot
    kept = snapshot.listing.where(reads)
    is_newest = len(kept.files) == len(snapshot.listing.files)
    return replace(
        snapshot,
        rows=kept.rows,
        files=len(kept.files),
        size_bytes=kept.size_bytes,
        listing=kept,
        is_newest=is_newest,
    )


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


def _missing(lookup: TableLookup, source: SourceConfig) -> SourceError:
    if source.table is not None:
        near = lookup.catalog(source).near_tables(source.table)
        return SourceError(
            f"There is no table {source.table} in the catalog{near}.",
            next_step="check the name with SHOW TABLES; a name without a schema means the current one.",
        )
    uri = qualify(lookup, source)
    storage = open_storage(uri, same_disk=lookup.same_disk)
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
        next_step=f"check the path; a relative one starts in the folder that {lookup.process} was started in.",
    )


def _hidden_tables(storage: Storage) -> list[str]:
    names = storage.names()
    return [f"It holds: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"] if names else ["It is empty."]
