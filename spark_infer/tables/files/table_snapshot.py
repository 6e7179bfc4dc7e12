"""The files of a folder that a run reads: listed once, by the driver, in the order of their paths."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pyarrow as pa

from spark_infer.errors import SourceError
from spark_infer.tables.bookmark import ALL_ROWS, SCORE_ALL, Span
from spark_infer.tables.listing import Listing, SourceFile
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.new_files import spanned
from spark_infer.tables.snapshot import Snapshot

CONTENT = "content"
COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("modificationTime", pa.timestamp("us", "UTC")),
        ("length", pa.int64()),
        (CONTENT, pa.binary()),
    ]
)
"""As Spark's `binaryFile` names them: https://spark.apache.org/docs/latest/sql-data-sources-binaryFile.html"""


def snapshot(location: TableLocation, patterns: Sequence[str], span: Span = ALL_ROWS) -> Snapshot:
    """Describe a folder of files; opens none of them.

    Args:
        location: The folder.
        patterns: Which of its files.
        span: Which of these.

    Raises:
        SourceError: There is no such folder here, no file fits, or files that were scored have changed.
    """
    storage = location.storage()
    kind = "" if storage is None else storage.kind()
    if storage is None or not kind:
        reason = "This process cannot reach" if storage is None else "There is nothing at"
        raise SourceError(f"{reason} {location.name}.", next_step="check the path of `files`.")
    every = storage.data_files()
    wanted = [file for file in every if any(matches(file.path or storage.name, each) for each in patterns)]
    if not wanted and span.since is None:
        raise SourceError(
            f"No file of {location.name} fits `pattern` ({', '.join(patterns)}).",
            details=[f"it holds {len(every):,} files" + (f", such as {every[0].path}" if every else "")],
            next_step="correct the pattern, such as '**/*.jpg': upper and lower case differ.",
        )
    files = [
        SourceFile(file.path, file.size, rows=1, modified_ns=file.modified_ns)
        for file in spanned(location, wanted, span, way_out=SCORE_ALL)  # a file has no keys
    ]
    return Snapshot(
        location=location,
        version=None,
        partition_columns=(),
        rows=len(files),
        files=len(files),
        size_bytes=sum(file.size for file in files),
        declared=COLUMNS,
        listing=Listing(tuple(files)),
        since=span.since,
        kept_if_named=(CONTENT,),
    )


def matches(path: str, pattern: str) -> bool:
    """Whether a path below a folder fits a pattern: `*`, `?` and `[…]` within a name, `**` for any folders.

    >>> matches("2026/11/a.jpg", "**/*.jpg"), matches("a.jpg", "**/*.jpg"), matches("2026/a.jpg", "*.jpg")
    (True, True, False)
    """
    return _match(path.split("/"), pattern.strip("/").split("/"))


def _match(path: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        rest = pattern[1:]
        return _match(path, rest) or (bool(path) and _match(path[1:], pattern))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _match(path[1:], pattern[1:])
