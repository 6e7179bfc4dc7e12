"""What workers wrote is looked at before it is published: each file and each unit has its rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.errors import WriteError
from spark_infer.tables.ledger.check import check_files
from spark_infer.tables.sink.sink_spec import WrittenFile
from spark_infer.tables.storage import Storage, open_storage


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    found = open_storage(f"file://{tmp_path}")
    assert found is not None
    return found


def written(tmp_path: Path, name: str, rows: int) -> WrittenFile:
    path = tmp_path / name
    pq.write_table(pa.table({"id": range(rows)}), path)
    return WrittenFile(path=name, size=path.stat().st_size, rows=rows)


def test_files_that_hold_the_rows_of_their_unit_pass(folder: Storage, tmp_path: Path) -> None:
    files = [written(tmp_path, "a.parquet", 7), written(tmp_path, "b.parquet", 5)]
    check_files(folder, files, rows=12)
    check_files(folder, files, rows=None)
    check_files(folder, [], rows=0)


@pytest.mark.parametrize("rows", [11, 13])
def test_a_unit_with_rows_too_few_or_too_many_is_refused(folder: Storage, tmp_path: Path, rows: int) -> None:
    files = [written(tmp_path, "a.parquet", 7), written(tmp_path, "b.parquet", 5)]
    with pytest.raises(WriteError, match=rf"a unit's files should hold {rows} rows and has 12"):
        check_files(folder, files, rows=rows)


def test_a_file_with_other_rows_than_its_worker_reported_is_refused(folder: Storage, tmp_path: Path) -> None:
    file = written(tmp_path, "a.parquet", 7)
    wrong = WrittenFile(path=file.path, size=file.size, rows=8)
    with pytest.raises(WriteError, match=r"a\.parquet should hold 8 rows and has 7"):
        check_files(folder, [wrong], rows=None)


def test_a_file_that_is_missing_cut_short_or_damaged_is_refused(folder: Storage, tmp_path: Path) -> None:
    file = written(tmp_path, "a.parquet", 7)
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-1])
    with pytest.raises(WriteError, match="is not there as a worker wrote it"):
        check_files(folder, [file], rows=7)
    (tmp_path / "a.parquet").write_bytes(whole[:-4] + b"PARX")
    with pytest.raises(WriteError, match="is damaged"):
        check_files(folder, [file], rows=7)
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(WriteError, match="is not there as a worker wrote it"):
        check_files(folder, [file], rows=7)
