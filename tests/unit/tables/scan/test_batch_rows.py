"""Files whose rows are small on average and large side by side: batches stay bounded, and so does the process."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.errors import SourceReadError, SparkMustReadError
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask

SIZE = 2**20
ROWS = 4_000


def lists(lengths: Any, values: pa.Array | None = None) -> pa.ListArray:
    ends = np.append(0, np.cumsum(lengths)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.full(ends[-1], 7)) if values is None else values)


def neighbours(large: int, count: int) -> Any:
    """Lengths of rows of which some in the middle are large."""
    return np.where((np.arange(ROWS) >= 2_000) & (np.arange(ROWS) < 2_000 + count), large, 1)


def texts(codes: Any, *words: str) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.asarray(codes, np.int32)), pa.array(words))


FEW = (np.arange(ROWS) >= 2_000) & (np.arange(ROWS) < 2_100)
PLAIN = ["y" * 200_000 if few else "x" for few in FEW]
# Functions, since the columns take 300 MB together.
FILES: dict[str, Callable[[], tuple[pa.Array, dict[str, Any]]]] = {
    "texts of a dictionary, one of them large": lambda: (
        texts(np.zeros(ROWS), "x" * 300_000, *map(str, range(20_000))),
        {"dictionary_pagesize_limit": 2**24},
    ),
    "large texts side by side": lambda: (pa.array(PLAIN), {"use_dictionary": False, "compression": "zstd"}),
    "large texts side by side, behind a dictionary": lambda: (
        pa.array(["z" * 500 + str(number % 3) for number in range(2_000)] + PLAIN[2_000:]),
        {"dictionary_pagesize_limit": 2_000, "compression": "zstd"},
    ),
    "texts with equal beginnings": lambda: (
        pa.array(PLAIN),
        {"use_dictionary": False, "column_encoding": {"t": "DELTA_BYTE_ARRAY"}},
    ),
    "texts with their lengths before them": lambda: (
        pa.array(PLAIN),
        {"use_dictionary": False, "column_encoding": {"t": "DELTA_LENGTH_BYTE_ARRAY"}, "compression": "zstd"},
    ),
    "long lists side by side": lambda: (lists(neighbours(100_000, 40)), {}),
    "long lists side by side without a dictionary": lambda: (
        lists(neighbours(100_000, 40)),
        {"use_dictionary": False, "compression": "gzip"},
    ),
    "long lists of lists": lambda: (
        pa.ListArray.from_arrays(pa.array(np.arange(ROWS + 1, dtype=np.int32)), lists(neighbours(100_000, 40))),
        {"compression": "brotli"},
    ),
    "lists of many lists": lambda: (lists(neighbours(50_000, 40), lists(np.ones(2_003_960, np.int64))), {}),
    "long lists of structs of texts": lambda: (
        lists(
            neighbours(2_000, 40),
            pa.StructArray.from_arrays([texts(np.arange(83_960) >= 2_000, "x", "y" * 2_000)], names=["a"]),
        ),
        {"compression": "lz4"},
    ),
    "lists of large texts": lambda: (
        lists(np.ones(ROWS, np.int64), pa.array(PLAIN)),
        {"use_dictionary": False, "compression": "zstd"},
    ),
    "irregular lists": lambda: (lists(np.random.default_rng(1).integers(0, 2_000, ROWS)), {"compression": "none"}),
}


def plain(kind: pa.DataType) -> pa.DataType:
    """The type that is read: texts of a dictionary are texts."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_list(kind):
        return pa.list_(pa.field("element", plain(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(plain(field.type)) for field in kind])
    return kind


def written(folder: Path, columns: dict[str, pa.Array], **how: Any) -> tuple[ScanTask, Scan]:
    """Write a file of one row group; return what reads it in batches of `SIZE` bytes."""
    rows = pa.table(columns)
    path = folder / "f.parquet"
    how = {"write_statistics": False} | how
    pq.write_table(rows, path, row_group_size=ROWS, store_schema=False, **how)
    schema = pa.schema([(field.name, plain(field.type)) for field in rows.schema])
    scan = Scan(uri=f"file://{folder}", schema=schema, batch_rows=10_000, batch_bytes=SIZE)
    return ScanTask(0, (Piece("f.parquet", path.stat().st_size),)), scan


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("name", FILES)
def test_large_rows_side_by_side_come_in_small_batches(tmp_path: Path, name: str, version: str) -> None:
    array, how = FILES[name]()
    task, scan = written(tmp_path, {"t": array}, data_page_version=version, **how)
    count = 0
    for batch in read_task(task, scan):
        assert batch.num_rows == 1 or batch.nbytes <= 4 * SIZE
        if count % 97 == 0:
            assert batch.column(0).to_pylist()[0] == array[count].as_py()
        count += batch.num_rows
    assert count == ROWS


def test_small_rows_come_in_large_batches(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    columns = {
        "numbers": pa.array(random.random(ROWS)),
        "dictionary": texts(random.integers(0, 2_000, ROWS), *(f"text number {number:06d}" for number in range(2_000))),
        "texts": pa.array([f"text {number}" for number in range(ROWS)]),
        "lists": lists(random.integers(0, 9, ROWS)),
    }
    task, scan = written(tmp_path, columns)
    assert [batch.num_rows for batch in read_task(task, scan)] == [ROWS]


def test_a_page_whose_header_holds_two_long_texts_is_read(tmp_path: Path) -> None:
    texts = pa.array([bytes([number % 256]) * 3_000 for number in range(ROWS)])
    task, scan = written(tmp_path, {"t": texts}, use_dictionary=False, write_statistics=True)
    assert pa.Table.from_batches(read_task(task, scan)).column(0).combine_chunks() == texts


def test_a_row_that_is_too_large_is_refused_with_its_file_and_column(tmp_path: Path) -> None:
    lengths = np.where(np.arange(ROWS) == 3_000, 1_200, 1)
    words = lists(lengths, texts(np.zeros(int(lengths.sum())), "x" * 1_000_000))
    task, scan = written(tmp_path, {"id": pa.array(range(ROWS)), "words": words})
    with pytest.raises(
        SourceReadError, match=r"f\.parquet cannot be read: one row or page of column 'words"
    ) as refused:
        next(read_task(task, scan))
    assert not isinstance(refused.value, SparkMustReadError)
    assert "1,2" in refused.value.what
    assert "max_batch_bytes" in str(refused.value)


def test_several_such_columns_count_together(tmp_path: Path) -> None:
    words = texts(FEW, "x", "y" * 30_000)
    task, scan = written(tmp_path, {**{f"c{number}": words for number in range(9)}, "t": lists(neighbours(50_000, 9))})
    assert max(batch.nbytes for batch in read_task(task, scan)) <= 4 * SIZE


CHILD = """
import json, pathlib, pickle, re, sys
from spark_infer.tables.scan.read import read_task
def peak():  # that of getrusage counts the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
for task, scan in pickle.load(sys.stdin.buffer):
    for batch in read_task(task, scan):
        pass
    print(json.dumps(peak() - before))
"""


def test_the_memory_of_a_process_that_reads_such_files_is_bounded(tmp_path: Path) -> None:
    size, tasks = 3 * 2**20, []
    for number, columns in enumerate(
        (
            {"t": texts(FEW, "x", "y" * 5_000_000)},
            {"t": lists(neighbours(500_000, 60))},
            {f"c{at}": texts(FEW, "x", chr(97 + at) * 1_000_000) for at in range(5)},
        )
    ):
        (tmp_path / str(number)).mkdir()
        task, scan = written(tmp_path / str(number), columns, dictionary_pagesize_limit=2**24)
        tasks.append((task, Scan(uri=scan.uri, schema=scan.schema, batch_rows=10_000, batch_bytes=size)))
    child = subprocess.run([sys.executable, "-c", CHILD], input=pickle.dumps(tasks), capture_output=True, check=True)
    peaks = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(peaks) == 3
    assert max(peaks) <= 20 * size, peaks
