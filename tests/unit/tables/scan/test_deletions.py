"""Deleted rows stay out, however a file is cut into row groups and batches."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.errors import SourceError
from spark_infer.tables.delta.deletion_vector import DeletionVector
from spark_infer.tables.listing import Footer, Listing, SourceFile
from spark_infer.tables.scan.cut import cut
from spark_infer.tables.scan.deletions import with_group_deletes
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask
from spark_infer.tables.storage import open_storage
from spark_infer.tables.where.terms import Compares
from tests.unit.tables.delta.test_deletion_vector import in_file

ROWS = 60


@given(
    st.sets(st.integers(0, ROWS - 1)),
    st.integers(1, ROWS),
    st.integers(1, ROWS),
    st.integers(0, ROWS),
    st.booleans(),
)
def test_the_rows_that_are_left_are_read_by_row_groups_batches_and_a_condition(
    tmp_path_factory: pytest.TempPathFactory, deleted: set[int], group: int, batch: int, least: int, columns: bool
) -> None:
    folder = tmp_path_factory.mktemp("t")
    pq.write_table(pa.table({"id": range(ROWS), "x": [0.5] * ROWS}), folder / "f.parquet", row_group_size=group)
    size = (folder / "f.parquet").stat().st_size
    (vector,) = in_file(folder, sorted(deleted))
    footer = Footer(ROWS, "", {}, tuple(len(range(ROWS)[at : at + group]) for at in range(0, ROWS, group)))
    listing = Listing((SourceFile("f.parquet", size, rows=ROWS - len(deleted), vector=vector),), {"f.parquet": footer})
    storage = open_storage(f"file://{folder}")
    assert storage is not None
    counted = with_group_deletes(storage, listing, ["f.parquet"])
    tasks = cut(counted, 1, size // 4)
    assert len(tasks) > 1 or len(footer.group_rows) == 1
    left = [number for number in range(ROWS) if number not in deleted]
    assert sum(piece.rows or 0 for task in tasks for piece in task.pieces) == len(left)
    if not columns:
        part = pa.schema([("part", pa.int32())])
        bare = Scan(uri=f"file://{folder}", schema=part, partitions={"part": "int"}, batch_rows=batch)
        assert sum(found.num_rows for task in tasks for found in read_task(task, bare)) == len(left)
    scan = Scan(
        uri=f"file://{folder}",
        schema=pa.schema([("id", pa.int64())]),
        batch_rows=batch,
        condition=Compares("id", ">=", least) if columns else None,
    )
    found = [value for task in tasks for each in read_task(task, scan) for value in each.column("id").to_pylist()]
    assert found == [number for number in left if number >= least or not columns]


def test_a_file_whose_deleted_rows_were_not_counted_is_read_whole() -> None:
    footer = Footer(4, "", {}, (2, 2))
    file = SourceFile("f.parquet", 100, rows=3, vector=DeletionVector("i", "", 0, 1))
    (task,) = cut(Listing((file,), {"f.parquet": footer}), 1, 10)
    assert (task.pieces[0].groups, task.pieces[0].rows) == (None, 3)


def test_a_vector_that_is_missing_is_refused_while_a_file_is_cut(tmp_path: Path) -> None:
    (vector,) = in_file(tmp_path, [1])
    (tmp_path / vector.path).unlink()
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    listing = Listing((SourceFile("f.parquet", 1, vector=vector),), {"f.parquet": Footer(2, "", {}, (1, 1))})
    with pytest.raises(SourceError, match=r"deletion vector of .* missing"):
        with_group_deletes(storage, listing, ["f.parquet"])


def test_a_file_without_deleted_rows_has_its_batches_pass_as_they_are(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": range(10)}), tmp_path / "f.parquet")
    (vector,) = in_file(tmp_path, [9])
    piece = Piece("f.parquet", (tmp_path / "f.parquet").stat().st_size, vector=vector)
    scan = Scan(uri=f"file://{tmp_path}", schema=pa.schema([("id", pa.int64())]), batch_rows=5)
    assert [batch.num_rows for batch in read_task(ScanTask(0, (piece,)), scan)] == [5, 4]
