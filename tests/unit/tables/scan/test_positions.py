"""Rows say where they stand in their file, whatever row groups are read and rows left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.tables.scan.deletions import without
from spark_infer.tables.scan.positions import PIECE, POSITION, ROW, numbered
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask


@pytest.mark.parametrize("size", [1, 3, 100])
def test_rows_of_some_row_groups_keep_their_numbers_when_others_are_left_out(size: int) -> None:
    group_rows, groups = [4, 2, 0, 5], [0, 3]
    read = pa.RecordBatch.from_pydict({"a": [0, 1, 2, 3, 6, 7, 8, 9, 10]})
    batches = (read.slice(start, size) for start in range(0, read.num_rows, size))
    deleted = np.array([1, 5])  # among the rows that are read
    left = [row for batch in without(deleted, numbered(batches, group_rows, groups)) for row in batch.to_pylist()]
    assert [row["a"] for row in left] == [0, 2, 3, 6, 8, 9, 10]
    assert [row[ROW] for row in left] == [row["a"] for row in left]


def test_a_task_of_several_files_says_which_one(tmp_path: Path) -> None:
    for name in "ab":
        pq.write_table(pa.table({"x": range(5)}), tmp_path / f"{name}.parquet", row_group_size=2)
    sizes = {name: (tmp_path / f"{name}.parquet").stat().st_size for name in "ab"}
    pieces = (Piece("a.parquet", sizes["a"], groups=(1, 2)), Piece("b.parquet", sizes["b"]))
    scan = Scan(uri=f"file://{tmp_path}", schema=pa.schema([("x", pa.int64())]), batch_rows=2, positions=True)
    rows = [row for batch in read_task(ScanTask(0, pieces), scan) for row in batch.to_pylist()]
    assert [*rows[0]] == ["x", *POSITION]
    assert [(row[PIECE], row[ROW]) for row in rows] == [(0, n) for n in (2, 3, 4)] + [(1, n) for n in range(5)]
    assert all(row["x"] == row[ROW] for row in rows)
