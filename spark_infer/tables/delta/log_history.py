"""What a Delta table's log says of the commits that made it: who made them, and whether they replaced all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyarrow import ArrowException

from spark_infer.errors import WriteError
from spark_infer.tables.delta.actions import UnreadableLogError, checkpoint_actions, commit_actions
from spark_infer.tables.delta.log import list_log
from spark_infer.tables.delta.log_check import EntryError
from spark_infer.tables.storage import Storage

_WHOLESALE = ("RESTORE", "TRUNCATE", "WRITE")


def transactions(storage: Storage) -> dict[str, int] | None:
    """Return the newest version of every application that the table's newest version has taken.

    None where the log is not to be read here.
    """
    listing = list_log(storage)
    if listing is None:
        return {}
    if not listing.readable(listing.newest):
        return None
    start = listing.base(listing.newest)
    checkpoint = [f"_delta_log/{name}" for name in listing.checkpoints.get(start, ())]
    commits = [f"_delta_log/{each:020}.json" for each in range(start + 1, listing.newest + 1)]
    found: dict[str, int] = {}
    of_checkpoint = checkpoint_actions(storage, checkpoint, ("txn",), sidecars=False)
    for action in (*of_checkpoint, *commit_actions(storage, commits)):
        if txn := action.get("txn"):
            found[txn["appId"]] = max(found.get(txn["appId"], 0), txn["version"])
    return found


def replaces(commit: Mapping[str, Any]) -> bool:
    """Whether the files that a commit removes are replaced wholesale, by what its writer says of it.

    An overwrite that workers wrote is a ``WRITE`` with mode ``Append``, since deltalake adds files in that mode alone.
    """
    operation = str(commit.get("operation", "")).upper()
    return operation in _WHOLESALE or "REPLACE" in operation


@contextmanager
def reading(storage: Storage) -> Iterator[None]:
    """Turn a log that is damaged, or cannot be read, into an error that says so."""
    try:
        yield
    except (UnreadableLogError, ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        known = isinstance(error, UnreadableLogError | EntryError)
        raise WriteError(
            f"The log of {storage.root} cannot be read: {error if known else 'an entry of it is missing or damaged'}.",
            details=["Without it nobody knows what the table holds of this job's runs; nothing was changed."],
            next_step="restore the files in its folder _delta_log, or choose another target.",
        ) from error
