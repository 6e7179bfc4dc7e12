"""Which files of a Parquet folder hold rows that are new, where others were written again or are gone."""

from __future__ import annotations

import pytest

from spark_infer.errors import SourceError
from spark_infer.tables.bookmark import Bookmark, FileMark, Span
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.new_files import spanned
from spark_infer.tables.storage import DataFile

NOW = [DataFile("same", 1, 10), DataFile("rewritten", 1, 11), DataFile("new", 1, 10)]
BEFORE: dict[str, FileMark] = {"same": (1, 10), "rewritten": (1, 10), "gone": (1, 10)}


def paths(span: Span) -> list[str]:
    return [file.path for file in spanned(TableLocation("parquet", "file:///in"), NOW, span)]


def since(files: dict[str, FileMark]) -> Bookmark:
    return Bookmark(job="j", source_id="files-0", source_version=len(files), selection="s", files=files)


def test_a_merge_takes_files_that_were_written_again_and_passes_over_those_that_are_gone() -> None:
    assert paths(Span(since=since(BEFORE), keys=("id",))) == ["rewritten", "new"]


@pytest.mark.parametrize("span", [Span(since=since(BEFORE)), Span(since=since(BEFORE), keys=("id",), removes=True)])
def test_else_they_are_refused(span: Span) -> None:
    with pytest.raises(SourceError, match="2 files of /in whose rows were scored") as refused:
        paths(span)
    assert ("incremental: {by: [id]}" in refused.value.next_step) == (not span.keys)


def test_files_that_came_are_new() -> None:
    assert paths(Span(since=since({"same": (1, 10)}))) == ["rewritten", "new"]
