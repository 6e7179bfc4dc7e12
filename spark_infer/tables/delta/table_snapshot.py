"""The version of a Delta table that a run reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyarrow import ArrowException

from spark_infer.errors import SourceError
from spark_infer.tables.bookmark import ALL_ROWS, SCORE_ALL, Bookmark, Span
from spark_infer.tables.delta.actions import UnreadableLogError
from spark_infer.tables.delta.eligibility import delta_doubts
from spark_infer.tables.delta.log import LogListing, LogState, list_log, read_log, replay_log, source_files
from spark_infer.tables.delta.new_files import HistoryGoneError, RowsChangedError, added_since
from spark_infer.tables.listing import Listing, SourceFile
from spark_infer.tables.location import TableLocation
from spark_infer.tables.paths import logged_path
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import schema_from_json
from spark_infer.tables.storage import Storage
from spark_infer.tables.table_lookup import TableLookup


def snapshot(lookup: TableLookup, location: TableLocation, version: int | None, span: Span = ALL_ROWS) -> Snapshot:
    """Pin the version of a Delta table and describe it; its files come with it where its log is readable here.

    Args:
        lookup: What the engine knows of tables; asked only where this process cannot read the log, or not cheaply.
        location: The table.
        version: The version asked for; None for the newest.
        span: Which of its rows; only the files that hold them are listed, and a version that it ends with counts.

    Raises:
        SourceError: There is no such version, or what is new after another cannot be known.
    """
    version = version if span.to is None else span.to.source_version
    storage = location.storage()
    log = list_log(storage) if storage else None
    if storage is None or log is None:
        return lookup.describe(location, version=version, refusal=_refusal(location, None))
    pinned = log.newest if version is None else version
    try:
        state = replay_log(storage, log, pinned)
    except UnreadableLogError as error:
        if pinned != log.newest and read_log(storage, log, log.newest):
            raise no_such_version(location, pinned, log.oldest, log.newest) from error
        return lookup.describe(location, version=version, refusal=_refusal(location, error))
    _refuse_other_table(location, state, span)
    if span.since is not None:
        state = replace(state, files=_new_files(storage, location, log, state, span.since, changed=span.changed))
    listing = Listing(state.files, doubts=delta_doubts(state))
    return Snapshot(
        location=location,
        version=pinned,
        partition_columns=state.partition_columns,
        partition_types=state.partition_types,
        rows=listing.rows,
        files=len(listing.files),
        size_bytes=listing.size_bytes,
        declared=schema_from_json(state.schema["fields"]),
        listing=listing,
        column_mapping=state.column_mapping,
        table_id=state.table_id,
        since=span.since,
    )


def _refusal(location: TableLocation, why: UnreadableLogError | None) -> SourceError:
    """The error where the engine knows no more than this process, which cannot reach a log, or cannot read it."""
    if why is None:
        return SourceError(
            f"This process cannot reach the log of {location.name}, and engine `local` runs without Spark.",
            next_step="set engine: spark.",
        )
    if why.for_spark:
        return SourceError(
            f"Only Spark can read the log of {location.name}, and engine `local` runs without it: {why}.",
            next_step="set engine: spark.",
        )
    return SourceError(
        f"The log of {location.name} is damaged: {why}.",
        next_step="restore the files in its folder _delta_log, or name another version of it or another table.",
    )


def no_such_version(
    location: TableLocation, version: int | None, oldest: int | str | None, newest: int | str | None
) -> SourceError:
    """The error for a version that a table does not have."""
    return SourceError(
        f"{location.name} has no version {version}.",
        details=[f"It has the versions {oldest} to {newest}."],
        next_step="name one of them, or leave `version` out to read the newest.",
    )


def _refuse_other_table(location: TableLocation, state: LogState, span: Span) -> None:
    for mark in (span.since, span.to):
        if mark is not None and mark.source_id != state.table_id:
            raise cannot_tell(location, mark.source_version, "it is another table now: it was made again or replaced")


def _new_files(
    storage: Storage, location: TableLocation, log: LogListing, state: LogState, since: Bookmark, *, changed: bool
) -> tuple[SourceFile, ...]:
    """The files that hold the rows which came after a bookmark, whether the table still has them or not.

    Raises:
        SourceError: What is new cannot be known from the log, or is not only rows that were added.
    """
    after = since.source_version
    try:
        files = _spanned(storage, log, state, after, changed=changed)
        lost = _lost(storage, state, files)
    except HistoryGoneError as error:
        raise cannot_tell(location, after, f"the log has the commit of version {error.version} no more") from error
    except RowsChangedError as error:
        raise SourceError(
            f"Rows of {location.name} were changed or removed after version {after}, up to which the target holds "
            "predictions.",
            details=[f"version {error.version}: {error.operation}"],
            next_step=SCORE_ALL,
        ) from error
    except (UnreadableLogError, ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise cannot_tell(location, after, "a commit since then cannot be read") from error
    if lost:
        raise cannot_tell(
            location, after, f"new rows are in the same files as older ones, and VACUUM removed {logged_path(lost[0])}"
        )
    return files


def _spanned(
    storage: Storage, log: LogListing, state: LogState, after: int, *, changed: bool
) -> tuple[SourceFile, ...]:
    """The files with new rows alone; else, where rows may replace older ones, those with changed rows too."""
    try:
        files = source_files(state, added_since(storage, log, after, state.version))
        if not changed or not _lost(storage, state, files):
            return files
    except RowsChangedError:
        if not changed:
            raise
    return source_files(state, added_since(storage, log, after, state.version, changed=True))


def _lost(storage: Storage, state: LogState, files: Sequence[SourceFile]) -> list[str]:
    """Those files that the table has no more, and that are not there to be read either."""
    there = {file.path for file in state.files}
    moved = [file.path for file in files if file.path not in there]
    infos = storage.files.get_file_info([storage.at(path) for path in moved])
    return [path for path, info in zip(moved, infos, strict=True) if not info.is_file]


def cannot_tell(location: TableLocation, after: int, why: str) -> SourceError:
    """The error where the history of a source does not say which rows are new."""
    return SourceError(
        f"Nobody can tell which rows of {location.name} came after version {after}, up to which the target holds "
        "predictions.",
        details=[why],
        next_step=SCORE_ALL,
    )
