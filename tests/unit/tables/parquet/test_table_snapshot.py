"""The rule for the types of partition folders, and footers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from spark_infer.errors import SourceError
from spark_infer.tables.location import TableLocation
from spark_infer.tables.parquet.table_snapshot import partitioning, snapshot
from spark_infer.tables.storage import DataFile, Storage, open_storage


def opened(path: Path) -> Storage:
    found = open_storage(f"file://{path}")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("values", "type_name"),
    [
        (["1", "2", "-3"], "int"),
        (["1", "2147483648"], "bigint"),
        (["1", "9223372036854775808"], "string"),
        (["1", "001"], "string"),
        (["1", "+1"], "string"),
        (["1", "1.0"], "string"),
        (["1", "__HIVE_DEFAULT_PARTITION__"], "int"),
        (["__HIVE_DEFAULT_PARTITION__"], "string"),
        (["2013-10-01", "2013-10-02"], "date"),
        (["2013-10-01", "20131002"], "string"),
        (["true", "false"], "string"),
        (["1_000"], "string"),
        (["\N{ARABIC-INDIC DIGIT ONE}"], "string"),
        (["%31"], "string"),
        (["2013%2D10%2D01"], "string"),
        (["20131001"], "int"),
    ],
)
def test_a_partition_column_is_a_number_only_where_every_folder_is_written_as_one(
    tmp_path: Path, values: list[str], type_name: str
) -> None:
    files = [DataFile(f"p={value}/f.parquet", 1) for value in values]
    assert partitioning(opened(tmp_path), files) == (("p",), (type_name,))


def test_rows_are_counted_from_footers_up_to_a_bound(tmp_path: Path) -> None:
    for count in (1, 2, 3):
        pq.write_table(pa.table({"id": range(count)}), tmp_path / f"{count}.parquet")
    location = TableLocation("parquet", f"file://{tmp_path}")
    found = snapshot(opened(tmp_path), location)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert (found.rows, found.files, found.size_bytes) == (6, 3, size)
    assert not found.mixed_schemas
    found = snapshot(opened(tmp_path), location, most_footers=2)
    assert (found.rows, found.files) == (None, 3)


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["2024/a.parquet"], "2024"),
        (["a.parquet", "sub/deep/b.parquet"], "sub"),
        (["p=1/a.parquet", "p=1/sub/b.parquet"], "p=…/sub"),
        (["sub/p=1/a.parquet"], "sub"),
        (["=1/a.parquet"], "=1"),
    ],
)
def test_files_in_plain_folders_are_refused_since_spark_would_leave_them_out(
    tmp_path: Path, names: list[str], folder: str
) -> None:
    for name in [*names, "_logs/c.parquet", ".hidden/d.parquet"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": [1]}), tmp_path / name)
    with pytest.raises(SourceError, match=f"no partition: {folder}/") as refused:
        snapshot(opened(tmp_path), TableLocation("parquet", f"file://{tmp_path}"))
    assert refused.value.next_step


def test_hidden_plain_folders_are_no_part_of_the_table(tmp_path: Path) -> None:
    for name in ("p=1/a.parquet", "_logs/c.parquet", ".hidden/d.parquet"):
        (tmp_path / name).parent.mkdir()
        pq.write_table(pa.table({"id": [1]}), tmp_path / name)
    found = snapshot(opened(tmp_path), TableLocation("parquet", f"file://{tmp_path}"))
    assert (found.partition_columns, found.rows) == (("p",), 1)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "good.parquet")
    damaged = (tmp_path / "good.parquet").read_bytes()[:-20] + b"x" * 16 + b"PAR1"
    (tmp_path / "bad.parquet").write_bytes(damaged)
    with pytest.raises(SourceError, match=r"bad\.parquet is not a readable Parquet file"):
        snapshot(opened(tmp_path), TableLocation("parquet", f"file://{tmp_path}"))


class Busy:
    """A local file system on which another job replaces a file between its listing and its first read."""

    def __init__(self, files: Any, gone: list[Path], new: Path) -> None:
        self._files, self._gone, self._new = files, gone, new

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def open_input_file(self, path: str) -> Any:
        if self._gone and path == str(self._gone[0]):
            self._gone.pop(0).unlink()
            pq.write_table(pa.table({"id": range(7)}), self._new)
        return self._files.open_input_file(path)


def test_a_table_that_another_job_changes_meanwhile_is_listed_again(tmp_path: Path) -> None:
    marker, other, new = (tmp_path / name for name in ("part-00000-no-rows.parquet", "other.parquet", "new.parquet"))
    for path in (marker, other):
        pq.write_table(pa.table({"id": pa.array([], pa.int64())}), path)
    storage = opened(tmp_path)
    busy = replace(storage, files=Busy(storage.files, [marker, other], new))
    found = snapshot(busy, TableLocation("parquet", f"file://{tmp_path}"))
    assert (found.rows, found.files) == (7, 1)
