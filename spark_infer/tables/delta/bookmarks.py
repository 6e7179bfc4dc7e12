"""The bookmark of a job in a Delta table's log: in the newest commit of its rows that the table still holds.

The commit says it in its ``userMetadata``; a transaction identifier says it too, for logs that have lost that commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from spark_infer.errors import WriteError
from spark_infer.tables.bookmark import APP, SCORE_ALL, Bookmark
from spark_infer.tables.delta.actions import UnreadableLogError, commit_actions, normal_path
from spark_infer.tables.delta.log import LogListing, list_log, replay_log
from spark_infer.tables.delta.log_check import plain_statistics
from spark_infer.tables.delta.log_history import reading, replaces, transactions
from spark_infer.tables.storage import Storage


def bookmark_in(storage: Storage, job: str) -> Bookmark | None:
    """Return up to where a table holds the predictions of a job; None where it holds none.

    A table that was restored has the bookmark of the version that it was restored to, and one whose rows were all
    replaced or deleted by another writer has none.

    Args:
        storage: The table's folder.
        job: The job, as its bookmarks name it.

    Raises:
        WriteError: The log cannot be read, or does not say what the table holds.
    """
    with reading(storage):
        return _bookmark_in(storage, job)


def _bookmark_in(storage: Storage, job: str) -> Bookmark | None:
    log = list_log(storage)
    version, restored = (log.newest if log is not None else -1), False
    while log is not None and version in log.commits:
        actions = list(commit_actions(storage, [f"_delta_log/{version:020}.json"]))
        info: Mapping[str, Any] = next((each["commitInfo"] for each in actions if each.get("commitInfo")), {})
        found = Bookmark.of_stamp(info.get("userMetadata"))
        if found is not None and found.job == job:
            return found
        if str(info.get("operation")).upper() == "RESTORE":
            version, restored = _restored_to(storage, info, version), True
        elif _left_nothing(storage, log, version, info, actions):
            return None
        else:
            version -= 1
    if log is None or version < 0:
        return None
    if restored:
        raise _unknown(storage, f"it was restored, and its log has version {version} no more")
    taken = transactions(storage)
    if taken is None:
        raise _unknown(storage, "only Spark can read it")
    # Of a table without rows nobody knows any more who emptied it; to score all rows into it doubles none.
    return _of_transactions(taken, job) if _holds_rows(storage, log, log.newest) else None


def _restored_to(storage: Storage, info: Mapping[str, Any], version: int) -> int:
    parameters = info.get("operationParameters")
    text = str(parameters.get("version")) if isinstance(parameters, Mapping) else ""
    if not text.isdecimal() or int(text) >= version:
        raise _unknown(storage, f"version {version} restored it to a time, and no number says which version that was")
    return int(text)


def _left_nothing(
    storage: Storage, log: LogListing, version: int, info: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether a commit of another writer left none of the rows that were there: it replaced or deleted them all."""
    if not any((each.get("remove") or {}).get("dataChange", True) for each in actions if each.get("remove")):
        return False
    parameters = info.get("operationParameters")
    part = isinstance(parameters, Mapping) and parameters.get("predicate") not in (None, "", "[]")
    if replaces(info) and not part:
        return True
    brought = {unquote(normal_path(add["path"])) for each in actions if (add := each.get("add")) and _has_rows(add)}
    if brought and not replaces(info):  # what an update or a delete left
        return False
    return not _holds_rows(storage, log, version, beside=brought)


def _has_rows(add: Mapping[str, Any]) -> bool:
    return plain_statistics(add.get("stats")).get("numRecords") != 0


def _holds_rows(storage: Storage, log: LogListing, version: int, beside: Collection[str] = ()) -> bool:
    """Whether a version of a table holds rows, others than those of some files."""
    try:
        files = replay_log(storage, log, version).files
    except UnreadableLogError as error:
        raise _unknown(storage, f"whether version {version} holds rows is not known: {error}") from error
    return any(file.rows != 0 and file.path not in beside for file in files)


def _of_transactions(taken: Mapping[str, int], job: str) -> Bookmark | None:
    marks = [Bookmark.of_app(app, version) for app, version in taken.items() if app.startswith(f"{APP}{job}/")]
    return max(marks, key=lambda mark: mark.source_version, default=None)


def _unknown(storage: Storage, why: str) -> WriteError:
    return WriteError(
        f"The log of {storage.root} does not say up to where the table holds predictions.",
        details=[why],
        next_step=SCORE_ALL,
    )
