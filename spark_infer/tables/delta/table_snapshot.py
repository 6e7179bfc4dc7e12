"""The version of a Delta table that a run reads."""

from __future__ import annotations

from dataclasses import replace

from spark_infer.errors import SourceError
from spark_infer.tables.bookmark import ALL_ROWS, Span
from spark_infer.tables.delta.actions import UnreadableLogError
from spark_infer.tables.delta.eligibility import delta_doubts
from spark_infer.tables.delta.log import list_log, read_log, replay_log
from spark_infer.tables.delta.new_files import spanned_files
from spark_infer.tables.listing import Listing
from spark_infer.tables.location import TableLocation
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.spark_json import schema_from_json
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
    files = spanned_files(storage, location, log, state, span)
    listing = None if files is None else Listing(files, doubts=delta_doubts(replace(state, files=files)))
    return Snapshot(
        location=location,
        version=pinned,
        partition_columns=state.partition_columns,
        partition_types=state.partition_types,
        rows=None if listing is None else listing.rows,
        files=None if listing is None else len(listing.files),
        size_bytes=None if listing is None else listing.size_bytes,
        declared=schema_from_json(state.schema["fields"]),
        listing=listing,
        column_mapping=state.column_mapping,
        table_id=state.table_id,
        since=span.since,
        by_feed=listing is None,
        is_newest=pinned == log.newest,
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
