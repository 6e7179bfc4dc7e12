"""The version of a Delta table that a run reads."""

from __future__ import annotations

import json

from spark_infer.errors import SourceError
from spark_infer.tables.delta.actions import UnreadableLogError
from spark_infer.tables.delta.log import list_log, read_log, replay_log
from spark_infer.tables.listing import Listing
from spark_infer.tables.location import TableLocation
from spark_infer.tables.scan.read_eligibility import delta_doubts
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.table_lookup import TableLookup


def snapshot(lookup: TableLookup, location: TableLocation, version: int | None) -> Snapshot:
    """Pin the version of a Delta table and describe it; its files come with it where its log is readable here.

    Args:
        lookup: What the engine knows of tables; asked only where this process cannot read the log, or not cheaply.
        location: The table.
        version: The version asked for; None for the newest.

    Raises:
        SourceError: There is no such version.
    """
    storage = location.storage()
    log = list_log(storage) if storage else None
    if storage is None or log is None:
        return lookup.unlisted_delta(location, version, None)
    pinned = log.newest if version is None else version
    try:
        state = replay_log(storage, log, pinned)
    except UnreadableLogError as error:
        if pinned != log.newest and read_log(storage, log, log.newest):
            raise no_such_version(location, pinned, log.oldest, log.newest) from error
        return lookup.unlisted_delta(location, version, error)
    listing = Listing(state.files, doubts=delta_doubts(state))
    return Snapshot(
        location=location,
        version=pinned,
        partition_columns=state.partition_columns,
        partition_types=state.partition_types,
        rows=listing.rows,
        files=len(listing.files),
        size_bytes=listing.size_bytes,
        schema_json=json.dumps(state.schema),
        listing=listing,
        column_mapping=state.column_mapping,
        table_id=state.table_id,
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
