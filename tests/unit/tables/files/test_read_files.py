"""A task of files is read in order, in batches of bounded bytes, and only as the files were planned."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from spark_infer.errors import SourceReadError
from spark_infer.tables.files.table_snapshot import COLUMNS, snapshot
from spark_infer.tables.location import TableLocation
from spark_infer.tables.scan.cut import cut
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Scan, ScanTask
from spark_infer.tables.where.sql import condition


@pytest.fixture
def files(tmp_path: Path) -> tuple[Scan, ScanTask]:
    """Ten files, of 0 to 9 bytes."""
    for number in range(10):
        (tmp_path / f"{number}.bin").write_bytes(b"x" * number)
        os.utime(tmp_path / f"{number}.bin", (1_000 + number, 1_000 + number))
    found = snapshot(TableLocation("files", f"file://{tmp_path}"), ["*.bin"])
    assert found.listing is not None
    task = ScanTask(0, tuple(piece for each in cut(found.listing, 1) for piece in each.pieces))
    return Scan(uri=f"file://{tmp_path}", schema=COLUMNS, reader="files"), task


def test_a_row_has_path_time_size_and_content(files: tuple[Scan, ScanTask], tmp_path: Path) -> None:
    scan, task = files
    [batch] = read_task(task, scan)
    assert batch.schema == COLUMNS
    assert batch.column("path").to_pylist() == [f"{tmp_path}/{number}.bin" for number in range(10)]
    assert batch.column("content").to_pylist() == [b"x" * number for number in range(10)]
    assert batch.column("length").to_pylist() == list(range(10))
    assert [time.timestamp() for time in batch.column("modificationTime").to_pylist()] == [*range(1_000, 1_010)]


def test_batches_hold_no_more_bytes_and_rows_than_they_may(files: tuple[Scan, ScanTask]) -> None:
    scan, task = files
    sizes = [batch.column("length").to_pylist() for batch in read_task(task, replace(scan, batch_bytes=10))]
    assert sizes == [[0, 1, 2, 3, 4], [5], [6], [7], [8], [9]]
    assert [batch.num_rows for batch in read_task(task, replace(scan, batch_rows=4))] == [4, 4, 2]


def test_content_that_nobody_wants_is_not_read(files: tuple[Scan, ScanTask], tmp_path: Path) -> None:
    scan, task = files
    for number in range(10):
        (tmp_path / f"{number}.bin").unlink()
    [batch] = read_task(task, replace(scan, schema=COLUMNS.remove(3)))
    assert batch.column("length").to_pylist() == list(range(10))


def test_a_condition_is_met_before_a_file_is_opened(files: tuple[Scan, ScanTask], tmp_path: Path) -> None:
    scan, task = files
    (tmp_path / "3.bin").unlink()
    for where, wanted in (("length >= 8", [8, 9]), ("length > 8 AND content IS NOT NULL", [9])):
        found = read_task(task, replace(scan, condition=condition(where, COLUMNS)))
        assert [size for batch in found for size in batch.column("length").to_pylist()] == wanted


def test_rows_say_where_they_stand(files: tuple[Scan, ScanTask]) -> None:
    scan, task = files
    [batch] = read_task(task, replace(scan, positions=True, schema=pa.schema([COLUMNS.field("length")])))
    assert [*batch.to_pydict().values()][1:] == [list(range(10)), [0] * 10]


@pytest.mark.parametrize("change", ["unlink", "write", "touch"])
def test_a_file_that_is_not_as_it_was_planned_is_refused(
    files: tuple[Scan, ScanTask], tmp_path: Path, change: str
) -> None:
    scan, task = files
    path = tmp_path / "4.bin"
    if change == "unlink":
        path.unlink()
    elif change == "write":
        path.write_bytes(b"longer content")
    else:
        os.utime(path, (5, 5))
    with pytest.raises(SourceReadError, match=r"4\.bin cannot be read: it (is missing|was written again)"):
        list(read_task(task, scan))
