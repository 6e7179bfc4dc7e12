"""Commit files that workers wrote as one Delta transaction, without Spark.

A commit is recognised by its transaction identifier:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyarrow import ArrowException

from spark_infer.errors import CommitConflictError, WriteError
from spark_infer.runtime.process_state import this_process
from spark_infer.tables.delta.commit_actions import (
    Replacement,
    adds,
    commented,
    properties,
    relaxed,
    removes,
    replacement,
    replaces_rows,
)
from spark_infer.tables.delta.eligibility import table_doubts
from spark_infer.tables.delta.log import LogState, list_log, read_log
from spark_infer.tables.plan import WritePlan
from spark_infer.tables.publishing.work import Txn
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage, split_uri

logger = logging.getLogger(__name__)

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
"""A terminal's colours, which deltalake puts into its messages."""


def create_table(
    folder: Storage, plan: WritePlan, files: Sequence[WrittenFile], schema: pa.Schema, stamp: str, txn: Txn
) -> int:
    """Make a Delta table in a folder that holds its files already.

    Args:
        folder: Where.
        plan: The write.
        files: The files, which lie in the folder.
        schema: The table's columns.
        stamp: The commit's ``userMetadata``.
        txn: What the commit is recognised by.

    Returns:
        The version, 0.

    Raises:
        WriteError: Another writer made a table there meanwhile.
    """
    from deltalake import Schema
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import create_table_with_add_actions

    try:
        create_table_with_add_actions(
            _uri(folder),
            Schema.from_json(json.dumps(commented(relaxed(schema), plan.comments))),
            adds(files),
            mode="error",
            partition_by=list(plan.partition_by),
            commit_properties=properties(plan, files, stamp, txn),
        )
        _name_place(folder, plan)
    except (ArrowException, DeltaError, OSError) as error:
        raise _failed(plan, error) from error
    return 0


def _name_place(folder: Storage, plan: WritePlan) -> None:
    """Have version 0 name the table's own place, where it was made in a staged folder that no reader sees."""
    table = plan.location.storage()
    if table is None or table.root == folder.root:
        return
    path = f"_delta_log/{0:020}.json"
    actions = [json.loads(line) for line in (folder.read(path) or b"").decode().splitlines()]
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"]["operationParameters"]["location"] = f"{_uri(table)}/"
    with folder.files.open_output_stream(folder.at(path)) as stream:
        stream.write("".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions).encode())


@dataclass(frozen=True)
class Ready:
    """A Delta table that takes the rows as they were planned, as its newest version is."""

    folder: Storage
    table: Any
    state: LogState
    rules: tuple[Any, ...] = ()

    def published(self, app: str) -> int:
        """The newest version of an application that the table has taken; 0 for none."""
        return int(self.table.transaction_version(app) or 0)


def published(folder: Storage, app: str) -> int:
    """The newest version of an application that a table has taken; 0 for none, and where there is no table."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    if not folder.names("_delta_log"):
        return 0
    try:
        return int(DeltaTable(_uri(folder)).transaction_version(app) or 0)
    except TableNotFoundError:
        return 0
    except DeltaError as error:
        raise WriteError(
            f"The log of {folder.root} cannot be read: {error}",
            next_step="look at the table; without its log it is not known what was published, and nothing was changed.",
        ) from error


def prepare(folder: Storage, plan: WritePlan, schema: pa.Schema, before: Ready | None = None) -> Ready:
    """Look at the newest version of a table that is to be written to; changes nothing.

    Args:
        folder: The table's folder.
        plan: The write.
        schema: The rows' columns.
        before: An earlier look, which spares reading the whole log again where only rows have changed since.

    Raises:
        CommitConflictError: Another writer changed its columns, partitioning or rules since the run was planned.
        WriteError: The table is gone.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    try:
        if before is not None and plan.mode.adds_only:
            before.table.update_incremental()
            if _rules(before.table) == before.rules:
                return before
        table = DeltaTable(_uri(folder))
    except TableNotFoundError as error:
        raise WriteError(
            f"The target {plan.location.name} is gone.",
            details=["it was there when the run was planned; rows that are scored are kept beside its place"],
            next_step="bring it back and run the same command again; or start a new run with --new-run.",
        ) from error
    except DeltaError as error:
        raise _failed(plan, error) from error
    return Ready(folder, table, _unchanged(folder, table.version(), plan, schema), _rules(table))


def _rules(table: Any) -> tuple[Any, ...]:
    about = table.metadata()
    return (about.id, about.partition_columns, about.configuration, tuple(table.protocol()), table.schema().to_json())


def commit(
    plan: WritePlan, ready: Ready, files: Sequence[WrittenFile], schema: pa.Schema, stamp: str, txn: Txn
) -> int | None:
    """Add files to a Delta table, and take out those that they replace, in one transaction.

    Args:
        plan: The write; its mode and scope say what is replaced.
        ready: From `prepare`.
        files: The new files, which lie in the folder.
        schema: The rows' columns.
        stamp: The commit's ``userMetadata``.
        txn: What the commit is recognised by, also where its reply is lost.

    Returns:
        The version that the commit made; None where another driver of the same run made it, and where there is
        nothing to commit.

    Raises:
        CommitConflictError: It conflicts with that of another writer.
        WriteError: The commit failed.
    """
    this_process().failpoints.reach("commit")
    if not (files or txn.also or plan.mode.replaces_table or replaces_rows(ready.state, plan)):
        return None  # nothing would change
    replaced = replacement(ready.state, plan)
    # What is replaced are the files of the version that was looked at. Were another commit in between, deltalake would
    # see no conflict with one that only arranged their rows in new files, and those rows would stay.
    retries = 0 if not plan.mode.adds_only else None
    before = ready.table.version()
    about = properties(plan, files, stamp, txn, retries=retries)
    _transact(plan, ready, replace(replaced, adds=adds(files)), about, txn)
    return version_of(ready.folder, stamp, after=before)


def remove(plan: WritePlan, ready: Ready, paths: Sequence[str], stamp: str, txn: Txn) -> None:
    """Take files and their rows out of a Delta table, in one transaction.

    Args:
        plan: A write to the table.
        ready: From `prepare`.
        paths: The files.
        stamp: The commit's ``userMetadata``.
        txn: What the commit is recognised by, also where its reply is lost.

    Raises:
        CommitConflictError: It conflicts with that of another writer.
        WriteError: The commit failed, or a file is not part of the table: its rows may be in others now.
    """
    this_process().failpoints.reach("remove")
    wanted = set(paths)
    there = [file for file in ready.state.files if file.path in wanted]
    if len(there) < len(wanted):
        raise WriteError(
            f"Another writer has changed {plan.location.name}: {len(wanted) - len(there):,} of the files that should "
            "leave it are not part of it any more.",
            details=["their rows are scored and in the target; if the table was compacted, they are here too"],
            next_step="restore the version before that change and run the same command again; or delete these rows.",
        )
    # Were another commit in between, these files may be others.
    about = properties(plan, (), stamp, txn, retries=0)
    _transact(plan, ready, Replacement("append", removes=removes(there)), about, txn)


def _transact(plan: WritePlan, ready: Ready, changes: Replacement, about: Any, txn: Txn) -> None:
    """Make one commit, and see that the log has it."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    failure: Exception | None = None
    try:
        ready.table.create_write_transaction(
            [*changes.adds, *changes.removes],
            mode=changes.mode,
            # The table's own: it may have columns that the rows do not bring, which are null in files without them.
            # An overwrite with another one, even in the comments of its columns, would replace it.
            schema=ready.table.schema(),
            partition_by=list(plan.partition_by),
            partition_filters=changes.filters,
            commit_properties=about,
        )
        this_process().failpoints.reach("committed")
    except (DeltaError, OSError) as error:
        failure = error
    # Read back, whatever the reply was: what follows a commit, such as a checkpoint, may fail when the rows are there.
    if published(ready.folder, txn.app) >= txn.version:
        return
    if isinstance(failure, CommitFailedError):
        raise _conflict(plan, failure) from failure
    raise _failed(plan, failure or RuntimeError("the log does not have it")) from failure


def version_of(folder: Storage, stamp: str, *, after: int = -1) -> int | None:
    """The version that the commit with a stamp made; None where the log has none that can still be read.

    Args:
        folder: The table's folder.
        stamp: The commit's ``userMetadata``.
        after: A version that is older.
    """
    try:
        log = list_log(folder)
        for version in sorted((version for version in (log.commits if log else ()) if version > after), reverse=True):
            if json.dumps(stamp).encode() in (folder.read(f"_delta_log/{version:020}.json") or b""):
                return version
    except (ArrowException, OSError) as error:
        logger.warning("The log of %s cannot be read: %s", folder.root, error)
    return None


def _failed(plan: WritePlan, error: Exception) -> WriteError:
    return WriteError(
        f"The commit to {plan.location.name} failed: {_ESCAPES.sub('', str(error))}",
        details=["Its log has no commit of this run, as far as it can be read."],
        next_step="look at the table's newest version, then run again.",
    )


def _conflict(plan: WritePlan, error: Exception) -> CommitConflictError:
    why = _ESCAPES.sub("", str(error))
    return CommitConflictError.during(plan.location.name, f"at the moment of the commit: {why}")


def _uri(folder: Storage) -> str:
    scheme, authority, path = split_uri(folder.uri)
    return f"{'s3' if scheme in ('s3a', 's3n') else scheme}://{authority}{quote(path)}"


def _unchanged(folder: Storage, version: int, plan: WritePlan, schema: pa.Schema) -> LogState:
    """Return the newest state of a table, if it still takes the rows as they were planned."""
    log = list_log(folder)
    state = read_log(folder, log, version) if log is not None else None
    wanted = {each["name"]: each["type"] for each in relaxed(schema)["fields"]}
    if state is not None and not plan.mode.adds_only and state.appends_only:
        raise WriteError(
            f"The table {plan.location.name} takes no other writes than appends (delta.appendOnly).",
            next_step="choose mode append with --new-run, or change the table.",
        )
    if state is not None:
        has = {each["name"]: each["type"] for each in state.schema["fields"]}
        brought = {name: kind for name, kind in has.items() if name not in plan.filled}
        if brought == wanted and state.partition_columns == plan.partition_by and not list(table_doubts(state)):
            return state
    raise CommitConflictError(
        f"The table {plan.location.name} was changed by another writer while this run scored.",
        details=["its columns, its partitioning or its rules are others than when the run was planned"],
        next_step="look at what the target holds of this run, then start a new run with --new-run: rows that an append "
        "has published before would be there twice.",
    )
