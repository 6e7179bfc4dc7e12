"""Delta's transaction log, read without Spark: which version is the newest, and what a version holds.

It answers only where the answer is certain. A log with commits that the catalog keeps, or too large to read in a
moment, is left to Spark. It is read by hand, because deltalake has no bound on memory and time, shows neither deletion
vectors nor partition values as they are written, and opens fewer tables than Spark, and no file system of pyarrow's.
Format: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pyarrow import ArrowException

from spark_infer.tables.delta.actions import (
    MOST_LOG_BYTES,
    TooLargeError,
    UnreadableLogError,
    action_key,
    checkpoint_actions,
    checkpoint_part,
    commit_actions,
    normal_path,
)
from spark_infer.tables.delta.deletion_vector import DeletionVector
from spark_infer.tables.delta.log_check import EntryError, checked_schema, plain_statistics
from spark_infer.tables.listing import SourceFile
from spark_infer.tables.predicate import short_type_name
from spark_infer.tables.scan.column_mapping import stored_name
from spark_infer.tables.storage import Storage

MAPPING_MODE = "delta.columnMapping.mode"

_COMMIT = re.compile(r"(\d{20})\.json")
_CATALOG_KEEPS_COMMITS = ("catalogManaged", "catalogOwned", "coordinatedCommits")


@dataclass(frozen=True)
class LogState:
    """What a version of a Delta table holds.

    Attributes:
        version: Its number.
        partition_columns: The columns that it is partitioned by.
        partition_types: Their types, in the same order.
        files: Its data files.
        schema: Its columns, as the log has them.
        configuration: Its table properties.
        protocol: What readers and writers must know: the protocol action.
        table_id: The table's own name for itself; a table that is made again has another.
    """

    version: int
    partition_columns: tuple[str, ...]
    partition_types: tuple[str, ...]
    files: tuple[SourceFile, ...]
    schema: Mapping[str, Any] = field(default_factory=dict, repr=False)
    configuration: Mapping[str, str] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    table_id: str = ""

    @property
    def column_mapping(self) -> str:
        """How columns are found in files: by their own ``none``, by mapped ``name``, or by ``id``."""
        return self.configuration.get(MAPPING_MODE, "none")

    @property
    def keeps_feed(self) -> bool:
        """Whether the table keeps a change data feed."""
        return self.configuration.get("delta.enableChangeDataFeed", "").lower() == "true"

    @property
    def appends_only(self) -> bool:
        """Whether the table's rules forbid to take rows out."""
        return self.configuration.get("delta.appendOnly", "").lower() == "true"


@dataclass(frozen=True)
class LogListing:
    """The files of a log: version to commit, version to the parts of its complete checkpoint."""

    commits: frozenset[int]
    checkpoints: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        """The newest version."""
        return max(self.commits | set(self.checkpoints))

    @property
    def oldest(self) -> int:
        """The oldest version that can still be read; older commits were cleaned up."""
        return min(filter(self.readable, self.commits | set(self.checkpoints)), default=self.newest)

    def readable(self, version: int) -> bool:
        """Whether a checkpoint and the commits after it, or all commits from 0, lead to the version."""
        start = self.base(version)
        return version <= self.newest and all(each in self.commits for each in range(start + 1, version + 1))

    def base(self, version: int) -> int:
        """The newest checkpoint that is not newer than the version; -1 where there is none."""
        return max((each for each in self.checkpoints if each <= version), default=-1)


def list_log(storage: Storage) -> LogListing | None:
    """List a table's log; None where it holds no version."""
    commits: set[int] = set()
    parts: dict[tuple[int, int], list[str]] = {}
    for name in storage.names("_delta_log"):
        if match := _COMMIT.fullmatch(name):
            commits.add(int(match[1]))
        elif part := checkpoint_part(name):
            parts.setdefault(part, []).append(name)
    # Of several checkpoints of a version, in one file each, any one holds it all.
    checkpoints = {version: tuple(names[:count]) for (version, count), names in parts.items() if len(names) >= count}
    return LogListing(frozenset(commits), checkpoints) if commits or checkpoints else None


def read_log(storage: Storage, listing: LogListing, version: int) -> LogState | None:
    """Replay the log up to a version; None where that is not certain or not cheap, which is Spark's to judge."""
    try:
        return replay_log(storage, listing, version)
    except UnreadableLogError:
        return None


def replay_log(storage: Storage, listing: LogListing, version: int) -> LogState:
    """Replay the log up to a version.

    Raises:
        UnreadableLogError: It cannot be read here, for the reason that it gives.
    """
    start = listing.base(version)
    missing = [each for each in range(start + 1, version + 1) if each not in listing.commits]
    if missing:
        since = f"the checkpoint of version {start}" if start >= 0 else "the first version"
        raise UnreadableLogError(f"it lacks the commit of version {missing[0]}, and has no checkpoint after {since}")
    checkpoint = [f"_delta_log/{name}" for name in listing.checkpoints.get(start, ())]
    commits = [f"_delta_log/{each:020}.json" for each in range(start + 1, version + 1)]
    try:
        sizes = storage.files.get_file_info([storage.at(path) for path in checkpoint + commits])
        if sum(info.size for info in sizes) > MOST_LOG_BYTES:
            raise TooLargeError
        actions = [*checkpoint_actions(storage, checkpoint), *commit_actions(storage, commits)]
        return _replay(actions, version)
    except UnreadableLogError:
        raise
    except (ArrowException, OSError) as error:
        # Delta passes over a checkpoint that it cannot read, where older ones or the commits suffice.
        older = listing.base(start - 1)
        suffice = bool(checkpoint) and all(at in listing.commits for at in range(older + 1, version + 1))
        raise UnreadableLogError("a file of it is missing or cannot be read", for_spark=suffice) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        detail = f" ({error})" if isinstance(error, EntryError) else ""
        raise UnreadableLogError(f"an action of it is not what Delta's protocol says{detail}") from error


def newest_state(storage: Storage) -> LogState | None:
    """What the newest version of a table holds; None where there is no log, or as for `read_log`."""
    log = list_log(storage)
    return read_log(storage, log, log.newest) if log is not None else None


def _replay(actions: Iterable[dict[str, Any]], version: int) -> LogState:
    live: dict[tuple[str, str], dict[str, Any]] = {}
    metadata: dict[str, Any] = {}
    protocol: dict[str, Any] = {}
    for action in actions:
        protocol = action.get("protocol") or protocol
        if any(name.startswith(_CATALOG_KEEPS_COMMITS) for name in protocol.get("writerFeatures") or ()):
            raise UnreadableLogError("a catalog keeps its newest commits", for_spark=True)
        metadata = action.get("metaData") or metadata
        if add := action.get("add"):
            live[action_key(add)] = add
        if remove := action.get("remove"):
            live.pop(action_key(remove), None)
    if not protocol or not metadata:
        raise UnreadableLogError(f"it has no {'metadata' if protocol else 'protocol'} action")
    schema = checked_schema(metadata["schemaString"])
    fields = {each["name"]: each for each in schema["fields"]}
    columns = tuple(metadata["partitionColumns"])
    configuration = {name: value for name, value in (metadata.get("configuration") or {}).items() if value is not None}
    mode = configuration.get(MAPPING_MODE, "none")
    written = {name: stored_name(fields[name], mode) for name in columns}
    types = tuple(_type_name(fields[name]["type"]) for name in columns)
    return LogState(
        version=version,
        partition_columns=columns,
        partition_types=types,
        files=tuple(_source_file(add, written) for add in live.values()),
        schema=schema,
        configuration=configuration,
        protocol=protocol,
        table_id=str(metadata.get("id", "")),
    )


def source_files(state: LogState, adds: Iterable[Mapping[str, Any]]) -> tuple[SourceFile, ...]:
    """Return the files of `add` actions, whose partition columns are those of a version."""
    fields = {each["name"]: each for each in state.schema["fields"]}
    written = {name: stored_name(fields[name], state.column_mapping) for name in state.partition_columns}
    return tuple(_source_file(add, written) for add in adds)


def _source_file(add: Mapping[str, Any], written: Mapping[str, str]) -> SourceFile:
    values = add.get("partitionValues") or {}
    statistics = plain_statistics(add.get("stats"))
    rows = statistics.get("numRecords")
    vector = DeletionVector.of(add["deletionVector"]) if add.get("deletionVector") else None
    return SourceFile(
        path=unquote(normal_path(add["path"])),
        size=add["size"],
        values={name: values.get(physical) or None for name, physical in written.items()},
        rows=_rows_left(rows, vector),
        vector=vector,
        statistics=add["stats"] if statistics else "",
    )


def _rows_left(rows: int | None, vector: DeletionVector | None) -> int | None:
    """The rows of a file that are not deleted; None where the log does not say, or more are deleted than there are."""
    deleted = vector.rows if vector else 0
    return None if rows is None or deleted > rows else rows - deleted


def _type_name(of: Any) -> str:
    return short_type_name(of) if isinstance(of, str) else "struct"


def has_delta_log(storage: Storage) -> bool:
    """Whether the folder is a Delta table: its log holds at least one commit or checkpoint."""
    return any(name[:20].isdigit() for name in storage.names("_delta_log"))
