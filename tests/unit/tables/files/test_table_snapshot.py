"""A folder of files as a source: which files, in which order, and what of them is pinned."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spark_infer.config import SourceConfig
from spark_infer.errors import SourceError
from spark_infer.tables.bookmark import Bookmark, Span
from spark_infer.tables.files.table_snapshot import COLUMNS, matches, snapshot
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.locate import locate
from spark_infer.tables.location import TableLocation
from spark_infer.tables.source import open_snapshot


def folder(tmp_path: Path, *names: str) -> TableLocation:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return TableLocation("files", f"file://{tmp_path}")


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("**", ["a.jpg", "b/c.jpg", "b/d/e.png"]),
        ("**/*.jpg", ["a.jpg", "b/c.jpg"]),
        ("*.jpg", ["a.jpg"]),
        ("b/**", ["b/c.jpg", "b/d/e.png"]),
        ("**/d/*", ["b/d/e.png"]),
        ("b/*", ["b/c.jpg"]),
        ("?.[jp]*", ["a.jpg"]),
        ("*.JPG", []),
    ],
)
def test_patterns_choose_by_the_path_below_the_folder(pattern: str, fits: list[str]) -> None:
    assert [path for path in ("a.jpg", "b/c.jpg", "b/d/e.png") if matches(path, pattern)] == fits


def test_files_come_in_the_order_of_their_paths_and_hidden_ones_do_not(tmp_path: Path) -> None:
    found = snapshot(folder(tmp_path, "b.jpg", "a/x.jpg", ".hidden.jpg", "_tmp/y.jpg", "c.txt"), ["**/*.jpg", "b.*"])
    assert found.listing is not None
    assert [file.path for file in found.listing.files] == ["a/x.jpg", "b.jpg"]
    assert [file.size for file in found.listing.files] == [7, 5]
    times = [os.stat(tmp_path / file.path).st_mtime_ns for file in found.listing.files]
    assert [file.modified_ns for file in found.listing.files] == times
    assert (found.rows, found.size_bytes, found.declared) == (2, 12, COLUMNS)


def test_a_file_that_was_scored_and_has_changed_is_refused_and_new_ones_are_found(tmp_path: Path) -> None:
    location = folder(tmp_path, "a.jpg", "b.jpg")
    first = snapshot(location, ["**"])
    assert first.listing is not None
    seen = {file.path: (file.size, file.modified_ns) for file in first.listing.files}
    mark = Bookmark(job="j", source_id="s", source_version=2, selection="", files=seen)
    folder(tmp_path, "0.jpg")
    new = snapshot(location, ["**"], Span(since=mark)).listing
    assert new is not None
    assert [file.path for file in new.files] == ["0.jpg"]
    (tmp_path / "a.jpg").write_bytes(b"other")
    with pytest.raises(SourceError, match="gone or were written again") as refused:
        snapshot(location, ["**"], Span(since=mark))
    assert "target.mode=overwrite" in refused.value.next_step
    assert "incremental" not in refused.value.next_step  # files have no keys by which rows are new


def test_a_folder_without_such_files_is_refused_with_one_that_is_there(tmp_path: Path) -> None:
    location = folder(tmp_path, "a.jpeg")
    with pytest.raises(SourceError, match=r"No file of .* fits `pattern` \(\*\*/\*.jpg\)") as raised:
        snapshot(location, ["**/*.jpg"])
    assert "a.jpeg" in str(raised.value)
    with pytest.raises(SourceError, match="There is nothing at"):
        snapshot(TableLocation("files", f"file://{tmp_path}/none"), ["**"])


def test_files_are_a_source_whatever_table_the_folder_may_look_like(tmp_path: Path) -> None:
    folder(tmp_path, "a.parquet", "_delta_log/0.json")
    source = SourceConfig(files=str(tmp_path))
    found = locate(LocalTables(), source)
    assert found is not None
    assert (found.format, found.name) == ("files", str(tmp_path))
    assert open_snapshot(LocalTables(), source).rows == 1


@pytest.mark.parametrize(
    "given",
    [
        {"path": "a", "files": "b"},
        {"path": "a", "pattern": "*.jpg"},
        {"files": "a", "version": 3},
        {"files": "a", "format": "delta"},
        {"files": "a", "partition_filter": {"day": 1}},
    ],
)
def test_keys_of_tables_and_of_files_do_not_mix(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"files|pattern"):
        SourceConfig(**given)
