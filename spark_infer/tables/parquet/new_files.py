"""The files that came into a Parquet folder since a list of them was made."""

from __future__ import annotations

from collections.abc import Sequence

from spark_infer.errors import SourceError
from spark_infer.tables.bookmark import Bookmark, FileMark, Span
from spark_infer.tables.location import TableLocation
from spark_infer.tables.paths import logged_path
from spark_infer.tables.storage import DataFile

_MOST_SHOWN = 3


def mark_of(file: DataFile) -> FileMark:
    """Return what tells a file from another of the same path."""
    return file.size, file.modified_ns


def spanned(
    location: TableLocation, files: Sequence[DataFile], span: Span, *, way_out: str | None = None
) -> list[DataFile]:
    """Return the files whose rows are to be read.

    Where rows are merged by keys, and those that are gone stay in the target, files that were written again are new.

    Args:
        location: The table.
        files: The files that it has now.
        span: Which of its rows.
        way_out: What to do where they are refused; None for what the span says.

    Raises:
        SourceError: Files whose rows were scored, or were about to be, are gone or were written again.
    """
    there = {file.path: mark_of(file) for file in files}
    takes_changes = bool(span.keys) and not span.removes
    for mark in (None if takes_changes else span.since, span.to):
        if mark is not None:
            _refuse_changed(location, way_out or span.way_out, mark, there)
    before = {} if span.since is None else span.since.files
    wanted = there if span.to is None else span.to.files
    return [file for file in files if file.path in wanted and before.get(file.path) != there[file.path]]


def _refuse_changed(location: TableLocation, way_out: str, mark: Bookmark, there: dict[str, FileMark]) -> None:
    gone = [path for path in mark.files if path not in there]
    written = [path for path, known in mark.files.items() if path in there and there[path] != known]
    if not gone and not written:
        return
    shown = [f"gone: {logged_path(path)}" for path in gone] + [
        f"written again: {logged_path(path)}" for path in written
    ]
    raise SourceError(
        f"{len(shown):,} files of {location.name} whose rows were scored are gone or were written again.",
        details=[*shown[:_MOST_SHOWN], *(["…"] if len(shown) > _MOST_SHOWN else [])],
        next_step=way_out,
    )
