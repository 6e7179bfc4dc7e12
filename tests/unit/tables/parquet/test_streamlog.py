"""Folders that a stream writes: the rows are those that its log names.

Logs that Spark has written are in `tests/spark/tables/test_listing.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from spark_infer.config import SourceConfig, TargetConfig
from spark_infer.errors import SourceError, TargetError
from spark_infer.tables.local_tables import LocalTables
from spark_infer.tables.locate import locate
from spark_infer.tables.source import open_snapshot


class Sink:
    """A folder with the log that Spark's FileStreamSink writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "_spark_metadata"
        self.log.mkdir(parents=True)

    def file(self, name: str) -> str:
        """Make a data file with one row and return its line in the log."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"id": [1]}), path)
        told = {"path": path.as_uri(), "size": path.stat().st_size, "isDir": False, "modificationTime": 1}
        return json.dumps({**told, "blockReplication": 1, "blockSize": 33554432, "action": "add"})

    def batch(self, name: str, *lines: str) -> None:
        (self.log / name).write_text("\n".join(("v1", *lines)))

    def listed(self) -> list[str]:
        found = open_snapshot(LocalTables(), SourceConfig(path=str(self.folder)))
        assert found.listing is not None
        return [file.path for file in found.listing.files]


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    found = Sink(tmp_path / "a %20 sink é")
    found.batch("0", found.file("part=0/a.parquet"), found.file("part=1/b c.parquet"))
    return found


def test_files_of_failed_batches_are_left_out(sink: Sink) -> None:
    sink.file("part=0/orphan.parquet")
    sink.file("stray.parquet")
    sink.batch("1")
    (sink.log / ".2.tmp").write_text("")
    assert sink.listed() == ["part=0/a.parquet", "part=1/b c.parquet"]


def test_the_newest_compaction_and_the_batches_after_it_count(sink: Sink) -> None:
    first = (sink.log / "0").read_text().split("\n")[1:]
    sink.batch("1", sink.file("part=0/old.parquet"))
    sink.batch("2.compact", *first, sink.file("part=0/c.parquet"))
    (sink.log / "0").unlink()
    sink.batch("3", sink.file("part=1/d.parquet"))
    assert sink.listed() == ["part=0/a.parquet", "part=0/c.parquet", "part=1/b c.parquet", "part=1/d.parquet"]


def _gone(sink: Sink) -> None:
    (sink.folder / "part=0/a.parquet").unlink()


def _grown(sink: Sink) -> None:
    with (sink.folder / "part=0/a.parquet").open("ab") as file:
        file.write(b"x")


def _moved(sink: Sink) -> None:
    sink.folder = sink.folder.rename(sink.folder.with_name("moved"))


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda sink: sink.batch("2"), "batch 1 is missing"),
        (lambda sink: sink.batch("2.compact") or sink.batch("4"), "batch 3 is missing"),
        (lambda sink: (sink.log / "0").unlink(), "has not committed a batch"),
        (lambda sink: sink.batch("0"), "names no file yet"),
        (lambda sink: sink.batch("1", (sink.log / "0").read_text().split("\n")[1]), "names a file twice"),
        (lambda sink: (sink.log / "1").write_text("v2\n"), "begins with 'v2'"),
        (lambda sink: (sink.log / "1").write_text(""), "begins with ''"),
        (lambda sink: sink.batch("1", "{"), "batch 1 is damaged"),
        (lambda sink: sink.batch("1", sink.file("e").replace('"add"', '"delete"')), "the action 'delete'"),
        (_gone, "part=0/a.parquet is missing"),
        (_grown, "bytes, and .* in the log"),
        (_moved, "was the folder moved or linked"),
        (lambda sink: sink.batch("1", sink.file("e").replace("/e", "/../e")), "which is not below"),
        (lambda sink: sink.batch("1", sink.file("e").replace("/e", "/%2e%2E/other/e")), "which is not below"),
    ],
)
def test_a_log_that_does_not_tell_the_rows_is_refused(sink: Sink, break_it: Callable[[Sink], None], why: str) -> None:
    break_it(sink)
    with pytest.raises(SourceError, match=why) as refused:
        sink.listed()
    assert "_spark_metadata" in str(refused.value)
    assert refused.value.next_step


def test_what_lies_inside_is_refused_in_favour_of_the_whole(sink: Sink) -> None:
    for inside in ("part=0", "part=0/a.parquet", "_spark_metadata"):
        with pytest.raises(SourceError, match="which a stream writes"):
            open_snapshot(LocalTables(), SourceConfig(path=str(sink.folder / inside)))


def test_rows_are_never_put_where_spark_would_not_read_them(sink: Sink) -> None:
    for path, why in ((sink.folder, "is written by a stream"), (sink.folder / "new", "which a stream writes")):
        with pytest.raises(TargetError, match=why):
            locate(LocalTables(), TargetConfig(path=str(path), mode="append"))
