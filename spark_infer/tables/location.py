"""Where a table is, in one spelling: by path or catalog name, Delta or Parquet."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyarrow import ArrowException

from spark_infer.config import TableConfig, TargetConfig
from spark_infer.errors import PlanError, SourceError, TargetError
from spark_infer.tables.predicate import quote_name
from spark_infer.tables.storage import Storage, open_storage, split_uri
from spark_infer.tables.streamlog import has_stream_log, unread_target
from spark_infer.tables.table_lookup import CatalogEntry, TableLookup

FORMATS = ("delta", "parquet")
_GLOB = frozenset("*?[]{}")


@dataclass(frozen=True)
class TableLocation:
    """Where a table is.

    Attributes:
        format: ``delta`` or ``parquet``.
        path: The folder's full URI in Spark's spelling, links and ``..`` resolved; None where only the catalog knows.
        table: The quoted full name in the catalog; None for a table by path.
        same_disk: Whether a `file:` path means to Spark what it means here.
    """

    format: str
    path: str | None
    table: str | None = None
    same_disk: bool = True

    @property
    def name(self) -> str:
        """The table as a reader knows it: its catalog name, or its path without ``file://``."""
        if self.table:
            return self.table.replace("`", "")
        return (self.path or "").removeprefix("file://")

    @property
    def sql(self) -> str:
        """The Delta table in a SQL statement."""
        return self.table or f"delta.{quote_name(self.path or '')}"

    def storage(self) -> Storage | None:
        """Open the folder; None where this process cannot reach it."""
        return open_storage(self.path, same_disk=self.same_disk) if self.path else None


def locate(lookup: TableLookup, config: TableConfig) -> TableLocation | None:
    """Find a table and its format; None where nothing is there yet.

    Looks at the catalog or at the folder, and starts no Spark job.

    Args:
        lookup: What the engine knows of tables.
        config: One side of a job.

    Raises:
        SourceError: The configuration is a source's and what is there is not the table it says.
        TargetError: The same for a target.
    """
    if config.table is not None:
        return _in_catalog(lookup, config, config.table)
    uri, here = qualify(lookup, config), lookup.same_disk
    storage = open_storage(uri, same_disk=here)
    found = lookup.format_at(config, uri) if storage is None else _format_by_files(storage, config)
    if found is None:
        return None
    _check_format(config, found)
    return TableLocation(found, uri, same_disk=here)


def qualify(lookup: TableLookup, config: TableConfig) -> str:
    """Return the one full URI of a configured path: scheme added, ``..``, links and trailing slashes resolved.

    The engine says where a path starts that has no scheme, or no host.
    """
    path = config.path or ""
    refuse = refusal(config)
    if _GLOB & set(path):
        raise refuse(
            f"The path {path!r} holds a pattern (one of * ? [ ] {{ }}).",
            next_step="name one folder; choose among its partitions with `partition_filter`.",
        )
    scheme, authority, rest = split_uri(path)
    if not scheme:
        scheme, authority, base = split_uri(lookup.base_uri(config, ""))
        rest = posixpath.join(base, path)
    elif not authority and scheme != "file":
        _, authority, _ = split_uri(lookup.base_uri(config, scheme))
    if not rest.startswith("/") and not authority:
        raise refuse(f"The path {path!r} is not absolute below its scheme.", next_step=f"write {scheme}:///…")
    if scheme == "file":
        return f"file://{_resolved(rest, here=lookup.same_disk)}"
    # posixpath keeps two leading slashes, which mean nothing here.
    return f"{scheme}://{authority}/{posixpath.normpath(rest).lstrip('/')}".rstrip("/")


def same_table(one: TableLocation, other: TableLocation) -> bool:
    """Say whether two tables share files: the same folder in any spelling, or one inside the other."""
    if one.table and one.table == other.table:
        return True
    if not one.path or not other.path:
        return False
    return _is_inside(one.path, other.path) or _is_inside(other.path, one.path)


def refusal(config: TableConfig) -> type[PlanError]:
    """The error for what is wrong with this side of the job."""
    return TargetError if isinstance(config, TargetConfig) else SourceError


@contextmanager
def looking_at(config: TableConfig) -> Iterator[None]:
    """Turn what the file system refuses (no permission, no connection) into an error about this table."""
    try:
        yield
    except (ArrowException, OSError) as error:
        raise refusal(config)(
            f"{config.name} cannot be looked at: {error}",
            next_step="check the path, its permissions, and the credentials of this process.",
        ) from error


def canonical(uri: str, *, here: bool = True) -> str:
    """Resolve links, ``..`` and slashes of a location that the catalog reported.

    Args:
        uri: The location.
        here: Whether a `file:` path means to Spark what it means here; links on another machine stay.
    """
    scheme, authority, path = split_uri(uri)
    if scheme in ("file", ""):
        return f"file://{_resolved(path, here=here)}"
    return f"{scheme}://{authority}/{posixpath.normpath(path).lstrip('/')}".rstrip("/")


def _resolved(path: str, *, here: bool) -> str:
    return os.path.realpath(path) if here else posixpath.normpath(path)


def _in_catalog(lookup: TableLookup, config: TableConfig, table: str) -> TableLocation | None:
    try:
        entry = lookup.catalog(config).describe(table)
    except ValueError as error:
        raise refusal(config)(str(error)) from error
    if entry is None:
        return None
    _check_entry(config, entry)
    _check_format(config, entry.provider)
    here = lookup.same_disk
    path = canonical(entry.location, here=here) if entry.location else None
    return TableLocation(entry.provider, path, entry.name, same_disk=here)


def _check_entry(config: TableConfig, entry: CatalogEntry) -> None:
    shown = entry.name.replace("`", "")
    if not entry.provider:
        raise refusal(config)(
            f"{shown} is a view, not a table.",
            next_step="name the table that the view reads, with `where` for its condition.",
        )
    if entry.provider not in FORMATS:
        raise refusal(config)(
            f"{shown} is a {entry.provider} table; Delta and Parquet tables can be used.",
            next_step="copy it to a Delta table first.",
        )
    if entry.buckets and isinstance(config, TargetConfig):
        raise TargetError(f"{shown} is bucketed, which this job cannot keep.", next_step="choose another table.")


def _check_format(config: TableConfig, found: str) -> None:
    if config.format is not None and config.format != found:
        hidden = " Reading its files one by one would bring back deleted rows." if found == "delta" else ""
        raise refusal(config)(
            f"{config.name} is a {found.capitalize()} table, and `format: {config.format}` was asked for.{hidden}",
            next_step=f"leave `format` out, or write `format: {found}`.",
        )


def _format_by_files(storage: Storage, config: TableConfig) -> str | None:
    if has_delta_log(storage):
        return "delta"
    if outer := _table_above(storage):
        reads = not isinstance(config, TargetConfig)
        raise refusal(config)(
            f"{config.name} lies inside {outer}.",
            details=["The log of that table says which files belong to it."],
            next_step=f"name {'that table, with `partition_filter`' if reads else 'a folder elsewhere'}.",
        )
    if storage.kind() == "file" and isinstance(config, TargetConfig):
        raise TargetError(f"{config.name} is a file, not a folder.", next_step="name a folder.")
    if has_stream_log(storage):
        if isinstance(config, TargetConfig):
            raise unread_target(config.name)
        return "parquet"
    return "parquet" if any(file.size for file in storage.data_files()) else None


def has_delta_log(storage: Storage) -> bool:
    """Whether the folder is a Delta table: its log holds at least one commit or checkpoint."""
    return any(name[:20].isdigit() for name in storage.names("_delta_log"))


def _table_above(storage: Storage) -> str:
    """The table with a log that a folder lies inside of; "" where there is none."""
    outer = storage
    while outer.parent().root.strip("/") and split_uri(outer.parent().uri)[2].strip("/"):
        outer = outer.parent()
        if has_delta_log(outer):
            return f"the Delta table {outer.uri.removeprefix('file://')}"
        if has_stream_log(outer):
            return f"the folder {outer.uri.removeprefix('file://')}, which a stream writes"
    return ""


def _is_inside(path: str, folder: str) -> bool:
    if (_folded(path) + "/").startswith(_folded(folder) + "/"):
        return True
    if not (path.startswith("file:") and folder.startswith("file:")):
        return False
    # The same folder under two names: bind mounts, and file systems that ignore case.
    inner, outer = split_uri(path)[2], split_uri(folder)[2]
    while inner != "/":
        if os.path.exists(inner) and os.path.exists(outer) and os.path.samefile(inner, outer):
            return True
        inner = posixpath.dirname(inner)
    return False


def _folded(uri: str) -> str:
    scheme, authority, path = split_uri(uri)
    return f"{'s3' if scheme in ('s3a', 's3n') else scheme}://{authority}{path}".rstrip("/")
