"""The files that brought new rows into a Delta table since a version, from the commits in between.

A commit says of each file whether it changes the table's rows (``dataChange``) or only arranges them in other files:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md#add-file-and-remove-file
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyarrow import ArrowException

from spark_infer.errors import SourceError
from spark_infer.tables.bookmark import Span
from spark_infer.tables.delta.actions import UnreadableLogError, action_key, commit_actions
from spark_infer.tables.delta.log import LogListing, LogState, source_files
from spark_infer.tables.listing import SourceFile
from spark_infer.tables.location import TableLocation
from spark_infer.tables.paths import logged_path
from spark_infer.tables.storage import Storage

Key = tuple[str, str]
Add = Mapping[str, Any]


class HistoryGoneError(Exception):
    """The log lacks a commit that is needed.

    Attributes:
        version: Which one.
    """

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class RowsChangedError(Exception):
    """A commit changed or removed rows that were there before.

    Attributes:
        version: Which one.
        operation: What its writer says that it is.
    """

    def __init__(self, version: int, operation: str) -> None:
        super().__init__(version, operation)
        self.version = version
        self.operation = operation


def spanned_files(
    storage: Storage, location: TableLocation, log: LogListing, state: LogState, span: Span
) -> tuple[SourceFile, ...] | None:
    """Return the files that hold the rows of a span, whether the table still has them or not.

    None where rows were changed or removed, and the table's change data feed says which.

    Args:
        storage: The table's folder.
        location: The table.
        log: Its log.
        state: The version to read.
        span: Which of its rows.

    Raises:
        SourceError: The log does not say which rows are new, or rows were changed in a way that the target cannot take.
    """
    for mark in (span.since, span.to):
        if mark is not None and mark.source_id != state.table_id:
            why = "it is another table now: it was made again or replaced"
            raise _unknown(location, span, mark.source_version, why)
    if span.since is None:
        return state.files
    after = span.since.source_version
    try:
        return _spanned(storage, location, log, state, span, max(after, span.seen))
    except HistoryGoneError as error:
        raise _unknown(location, span, after, f"the log has the commit of version {error.version} no more") from error
    except RowsChangedError as error:
        raise _changed(location, span, after, error) from error
    except (UnreadableLogError, ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unknown(location, span, after, "a commit since then cannot be read") from error


def _spanned(
    storage: Storage, location: TableLocation, log: LogListing, state: LogState, span: Span, after: int
) -> tuple[SourceFile, ...] | None:
    try:
        files = source_files(state, added_since(storage, log, after, state.version))
        lost = _lost(storage, state, files)
        if lost and not span.keys:
            why = f"new rows are in the same files as older ones, and VACUUM removed {logged_path(lost[0])}"
            raise _unknown(location, span, after, why)
        if not lost:
            return files
    except RowsChangedError:
        if span.keys and state.keeps_feed:
            return None
        if not span.keys or span.removes:
            raise
    return source_files(state, added_since(storage, log, after, state.version, changed=True))


def _lost(storage: Storage, state: LogState, files: Sequence[SourceFile]) -> list[str]:
    """Those files that the table has no more, and that are not there to be read either."""
    there = {file.path for file in state.files}
    moved = [file.path for file in files if file.path not in there]
    infos = storage.files.get_file_info([storage.at(path) for path in moved])
    return [path for path, info in zip(moved, infos, strict=True) if not info.is_file]


def _unknown(location: TableLocation, span: Span, after: int, why: str) -> SourceError:
    return SourceError(
        f"It is not known which rows of {location.name} came after version {after}, up to which the target holds "
        "predictions.",
        details=[why],
        next_step=span.way_out,
    )


def _changed(location: TableLocation, span: Span, after: int, error: RowsChangedError) -> SourceError:
    needs = (
        "`deletes: remove` needs a table with delta.enableChangeDataFeed, from the bookmark on"
        if span.keys
        else "a target that is merged by keys can take them; one that is appended to cannot"
    )
    return SourceError(
        f"Rows of {location.name} were changed or removed after version {after}, up to which the target holds "
        "predictions.",
        details=[f"version {error.version}: {error.operation}", needs],
        next_step=span.way_out,
    )


def added_since(storage: Storage, log: LogListing, after: int, to: int, *, changed: bool = False) -> list[Add]:
    """Return the ``add`` actions of the files that hold the rows which are new in a version, and no other row.

    A file whose rows were only arranged in other files stands for itself, where these hold older rows too: it is read
    although the table has it no more. Rows that came and went in between are not new.

    Args:
        storage: The table's folder.
        log: Its log.
        after: The version that new rows came after.
        to: The version to read.
        changed: Whether rows that were changed count as new: then the files that hold such rows are read with all their
            rows, older ones too, and removed rows are not told of.

    Raises:
        HistoryGoneError: A commit in between is not there any more.
        RowsChangedError: One of them changed or removed rows that were there in version ``after``, unless these count.
    """
    new: dict[Key, Add] = {}
    for version in range(after + 1, to + 1):
        if version not in log.commits:
            raise HistoryGoneError(version)
        actions = list(commit_actions(storage, [f"_delta_log/{version:020}.json"]))
        adds = {action_key(each["add"]): each["add"] for each in actions if each.get("add")}
        removes = {action_key(each["remove"]): each["remove"] for each in actions if each.get("remove")}
        _arrange(new, _with_change(adds, False), _with_change(removes, False), mixed=changed)
        gone = _with_change(removes, True)
        if gone.keys() - new.keys() and not changed:
            raise RowsChangedError(version, _operation(actions))
        for key in gone:
            new.pop(key, None)
        new |= _with_change(adds, True)
    return list(new.values())


def _with_change(files: Mapping[Key, Add], change: bool) -> dict[Key, Add]:
    return {key: each for key, each in files.items() if (each.get("dataChange") is not False) == change}


def _arrange(new: dict[Key, Add], adds: Mapping[Key, Add], removes: Mapping[Key, Add], *, mixed: bool) -> None:
    """Follow rows into the files that they were arranged in: partition by partition, which no writer mixes.

    Where all files of a partition that were replaced are new, so are those in their place; with ``mixed``, where one of
    them is. Where the log does not say of which partition a file was, all of them count as one.
    """
    unknown = any(each.get("partitionValues") is None for key, each in removes.items() if key not in new)

    def partition(file: Add) -> frozenset[tuple[str, str | None]]:
        return frozenset() if unknown else frozenset((file.get("partitionValues") or {}).items())

    replaced = defaultdict[frozenset[tuple[str, str | None]], list[Key]](list)
    for key, each in removes.items():
        replaced[partition(new.get(key, each))].append(key)
    for values, keys in replaced.items():
        found = [key for key in keys if key in new]
        if found == keys or (mixed and found):
            for key in found:
                del new[key]
            new |= {key: each for key, each in adds.items() if partition(each) == values}


def _operation(actions: Iterable[Mapping[str, Any]]) -> str:
    infos = (each["commitInfo"] for each in actions if each.get("commitInfo"))
    return next((str(info.get("operation") or "")[:100] for info in infos), "") or "a write"
