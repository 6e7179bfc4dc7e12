"""Where a table is, in one spelling: by path or catalog name, and of which format."""

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


@dataclass(frozen=True)
class TableLocation:
    """Where a table is.

    Attributes:
        format: The name of its format, as `tables.formats` has it.
        path: The folder's full URI in Spark's spelling, links and ``..`` resolved; None where only the catalog knows.
        table: The quoted full name in the catalog; None for a table by path.
        same_disk: Whether a `file:` path means to Spark what it means here.
        words: Of a source whose rows are stored first: the source as the user wrote it.
        stored: The session that stored them, whose folder the path is; "" for a table, and before that.
        external: Whether a table of the catalog has a folder that a user has chosen.
    """

    format: str
    path: str | None
    table: str | None = None
    same_disk: bool = True
    words: str = ""
    stored: str = ""
    external: bool = False

    @property
    def name(self) -> str:
        """The table as a reader knows it: its catalog name, or its path without ``file://``."""
        if self.words:
            return self.words
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
        return f"file://{resolved(path, here=here)}"
    return f"{scheme}://{authority}/{posixpath.normpath(path).lstrip('/')}".rstrip("/")


def resolved(path: str, *, here: bool) -> str:
    """Return a path without links and `..`; of another machine only without the latter."""
    return os.path.realpath(path) if here else posixpath.normpath(path)


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
