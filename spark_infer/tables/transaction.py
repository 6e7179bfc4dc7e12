"""Commit files that workers wrote as one Delta transaction, without Spark; the only place for deltalake."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pyarrow import ArrowException

from spark_infer.errors import WriteError
from spark_infer.tables.delta_log import LogState, list_log, read_log
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.sink.doubts import table_doubts
from spark_infer.tables.sink.spec import WrittenFile
from spark_infer.tables.storage import Storage, split_uri

logger = logging.getLogger(__name__)


def create_table(folder: Storage, plan: WritePlan, files: Sequence[WrittenFile], schema: str, stamp: str) -> int:
    """Make a Delta table in a folder that holds its files already.

    Args:
        folder: Where.
        plan: The write.
        files: The files, which lie in the folder.
        schema: Spark's JSON of the table's columns.
        stamp: The commit's ``userMetadata``.

    Returns:
        The version, 0.

    Raises:
        WriteError: Another writer made a table there meanwhile.
    """
    from deltalake import CommitProperties, Schema
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import create_table_with_add_actions

    try:
        create_table_with_add_actions(
            _uri(folder),
            Schema.from_json(_relaxed(schema)),
            _adds(files),
            mode="error",
            partition_by=list(plan.partition_by),
            commit_properties=CommitProperties(custom_metadata=_told(files, stamp)),
        )
    except DeltaError as error:
        raise _failed(plan, error) from error
    return 0


def _told(files: Sequence[WrittenFile], stamp: str) -> dict[str, Any]:
    """What the table's history tells of a commit, under the names that Spark's own writes have."""
    metrics = {
        "numFiles": str(len(files)),
        "numOutputRows": str(sum(file.rows for file in files)),
        "numOutputBytes": str(sum(file.size for file in files)),
    }
    return {"userMetadata": stamp, "operationMetrics": metrics}


@dataclass(frozen=True)
class Ready:
    """A Delta table that takes the rows as they were planned, as its newest version is."""

    table: Any
    state: LogState


def prepare(folder: Storage, plan: WritePlan, schema: str) -> Ready:
    """Look at the newest version of a table that is to be written to; changes nothing.

    Raises:
        WriteError: Another writer changed its columns, its partitioning or its rules since the run was planned.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(_uri(folder))
    except DeltaError as error:
        raise _failed(plan, error) from error
    return Ready(table, _unchanged(folder, table.version(), plan, schema))


def commit(
    folder: Storage, plan: WritePlan, ready: Ready, files: Sequence[WrittenFile], schema: str, stamp: str
) -> int | None:
    """Add files to a Delta table, and take out those that they replace, in one transaction.

    Args:
        folder: The table's folder.
        plan: The write; its mode and scope say what is replaced.
        ready: From `prepare`.
        files: The new files, which lie in the folder.
        schema: Spark's JSON of the rows' columns.
        stamp: The commit's ``userMetadata``.

    Returns:
        The version that the commit made; None where the log cannot be read afterwards.

    Raises:
        WriteError: The commit failed, or conflicts with that of another writer.
    """
    from deltalake import CommitProperties, Schema
    from deltalake.exceptions import DeltaError

    # Taken out one by one: deltalake's own overwrite also replaces the order and the comments of the columns.
    actions = [*_adds(files), *_removes(ready.state, plan)]
    try:
        ready.table.create_write_transaction(
            actions,
            mode="append",
            schema=Schema.from_json(_relaxed(schema)),
            partition_by=list(plan.partition_by),
            commit_properties=CommitProperties(custom_metadata=_told(files, stamp)),
        )
    except (DeltaError, OSError) as error:
        # What follows a commit, such as a checkpoint, may fail when the rows are there.
        version = _version_of(folder, ready.state.version, stamp)
        if version is None:
            raise _failed(plan, error) from error
        return version
    return _version_of(folder, ready.state.version, stamp)


def _version_of(folder: Storage, before: int, stamp: str) -> int | None:
    """The version that our commit made, None where there is none; others may have committed before and after it."""
    try:
        log = list_log(folder)
        for version in sorted(version for version in (log.commits if log else ()) if version > before):
            if json.dumps(stamp) in _text(folder, f"_delta_log/{version:020}.json"):
                return version
    except (ArrowException, OSError) as error:
        logger.warning("The log of %s cannot be read: %s", folder.root, error)
    return None


def _text(folder: Storage, path: str) -> str:
    with folder.files.open_input_stream(folder.at(path)) as stream:
        return bytes(stream.read()).decode()


def _relaxed(schema: str) -> str:
    return json.dumps(_nullable(json.loads(schema)))


def _nullable(part: Any) -> Any:
    """Let every column and every value inside one be null, as Spark does when it makes a table."""
    if isinstance(part, list):
        return [_nullable(each) for each in part]
    if not isinstance(part, dict):
        return part
    relaxed = dict.fromkeys(("nullable", "containsNull", "valueContainsNull") & part.keys(), True)
    return {key: value if key == "metadata" else _nullable(value) for key, value in part.items()} | relaxed


def _failed(plan: WritePlan, error: Exception) -> WriteError:
    return WriteError(
        f"The commit to {plan.location.name} failed: {error}",
        details=["Its log has no commit of this run, as far as it can be read."],
        next_step="look at the table's newest version, then run again.",
    )


def _uri(folder: Storage) -> str:
    scheme, authority, path = split_uri(folder.uri)
    return f"{'s3' if scheme in ('s3a', 's3n') else scheme}://{authority}{quote(path)}"


def _adds(files: Sequence[WrittenFile]) -> list[Any]:
    from deltalake.transaction import AddAction

    now = int(time.time() * 1000)
    return [
        AddAction(
            path=file.path,
            size=file.size,
            partition_values=dict(file.values),
            modification_time=now,
            data_change=True,
            stats=json.dumps({"numRecords": file.rows, **file.statistics}),
        )
        for file in files
    ]


def _removes(state: LogState, plan: WritePlan) -> list[Any]:
    """Take out every file that is replaced, as the newest version has them."""
    from deltalake.transaction import RemoveAction

    now = int(time.time() * 1000)
    return [
        RemoveAction(file.path, True, now, file.size, dict(file.values))
        for file in state.files
        if plan.mode == "overwrite" or (plan.scope is not None and plan.scope.holds(file.values))
    ]


def _unchanged(folder: Storage, version: int, plan: WritePlan, schema: str) -> LogState:
    """Return the newest state of a table, if it still takes the rows as they were planned."""
    log = list_log(folder)
    state = read_log(folder, log, version) if log is not None else None
    wanted = {each["name"]: each["type"] for each in json.loads(_relaxed(schema))["fields"]}
    if state is not None:
        has = {each["name"]: each["type"] for each in state.schema["fields"]}
        if has == wanted and state.partition_columns == plan.partition_by and not list(table_doubts(state)):
            return state
    raise WriteError(
        f"The table {plan.location.name} was changed by another writer while this run scored.",
        details=["its columns, its partitioning or its rules are others than when the run was planned"],
        next_step="run again; nothing of this run was written.",
    )
