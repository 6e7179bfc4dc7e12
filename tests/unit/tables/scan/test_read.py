"""Scan tasks read without Spark: the same rows whatever the cut, and refusals that name the file."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.errors import SourceReadError, SparkMustReadError
from spark_infer.tables.scan import read_parquet as read_module
from spark_infer.tables.scan.read import read_task
from spark_infer.tables.scan.task import Piece, Scan, ScanTask

WANTED = pa.schema([("id", pa.int64()), ("part", pa.int32()), ("text", pa.string()), ("later", pa.float64())])
ROWS = pa.table({"id": range(10), "text": pa.array(list("aabbccddee")).dictionary_encode()})


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    pq.write_table(ROWS, tmp_path / "f.parquet", row_group_size=3)
    return Scan(uri=f"file://{tmp_path}", schema=WANTED, partitions={"part": "int"}, batch_rows=4)


def piece(scan: Scan, **given: Any) -> Piece:
    path = Path(scan.uri.removeprefix("file://")) / "f.parquet"
    return Piece(**{"path": "f.parquet", "size": path.stat().st_size, "values": {"part": "7"}, **given})


def read(scan: Scan, *pieces: Piece) -> pa.Table:
    scan, task = pickle.loads(pickle.dumps((scan, ScanTask(0, pieces))))
    return pa.Table.from_batches(read_task(task, scan), schema=scan.schema)


def test_columns_of_files_of_folders_and_of_later_schemas_stand_side_by_side(scan: Scan) -> None:
    found = read(scan, piece(scan))
    assert found["id"].to_pylist() == list(range(10))
    assert found["part"].to_pylist() == [7] * 10
    assert found["text"].to_pylist() == list("aabbccddee")
    assert found["later"].to_pylist() == [None] * 10


def test_row_groups_are_read_alone(scan: Scan) -> None:
    found = read(scan, piece(scan, groups=(3,)), piece(scan, groups=(0, 2), values={"part": None}))
    assert found["id"].to_pylist() == [9, 0, 1, 2, 6, 7, 8]
    assert found["part"].to_pylist() == [7] + [None] * 6


def test_a_file_of_which_no_column_is_wanted_still_gives_its_rows(scan: Scan) -> None:
    only = Scan(uri=scan.uri, schema=pa.schema([WANTED.field("part")]), partitions={"part": "int"}, batch_rows=4)
    batches = list(read_task(ScanTask(0, (piece(scan),)), only))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert {value for batch in batches for value in batch.column("part").to_pylist()} == {7}


@pytest.mark.parametrize(
    ("columns", "size", "most"),
    [
        (["text"], 20_000, 20),
        (["n"], 20_000, 100),
        (["n"], 400, 50),
        (["text", "n"], 10, 1),
    ],
)
def test_wide_rows_come_in_smaller_batches(tmp_path: Path, columns: list[str], size: int, most: int) -> None:
    # The numbers take a byte each in the file's dictionary, and eight in memory.
    rows = pa.table({"text": [f"{number:0990}" for number in range(100)], "n": [7, 8] * 50})
    pq.write_table(rows, tmp_path / "f.parquet")
    scan = Scan(uri=f"file://{tmp_path}", schema=rows.select(columns).schema, batch_rows=100, batch_bytes=size)
    task = ScanTask(0, (Piece("f.parquet", (tmp_path / "f.parquet").stat().st_size),))
    counts = [batch.num_rows for batch in read_task(task, scan)]
    assert sum(counts) == 100
    assert 0.9 * most <= max(counts) <= most


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (pa.field("id", pa.int32()), "is int64 in a file and int32 in the table"),
        (pa.field("ID", pa.int64()), "is spelled 'id' in a file"),
        (pa.field("text", pa.int32()), "string"),
    ],
)
def test_what_spark_might_read_otherwise_is_refused(scan: Scan, wanted: pa.Field, why: str) -> None:
    with pytest.raises(SparkMustReadError, match=why) as refused:
        read(Scan(uri=scan.uri, schema=pa.schema([wanted])), piece(scan))
    assert "f.parquet" in str(refused.value)


@pytest.mark.parametrize("as_integer", [True, False])
def test_a_decimal_with_more_digits_than_its_type_is_sparks_to_judge(tmp_path: Path, as_integer: bool) -> None:
    five = pa.array([Decimal("1.00"), Decimal("999.99")], pa.decimal128(5, 2))
    seven = pa.Array.from_buffers(five.type, 2, pa.array([1, 1234567]).cast(pa.decimal128(38, 0)).buffers())
    wanted = Scan(uri=f"file://{tmp_path}", schema=pa.schema([("d", five.type)]))
    for column, fits in ((five, True), (seven, False)):
        pq.write_table(pa.table({"d": column}), tmp_path / "f.parquet", store_decimal_as_integer=as_integer)
        if fits:
            assert read(wanted, piece(wanted))["d"].to_pylist() == five.to_pylist()
            continue
        with pytest.raises(SparkMustReadError, match=r"f\.parquet: column 'd'"):
            read(wanted, piece(wanted))
        with pytest.raises(SourceReadError, match="no place") as refused:
            read(replace(wanted, beyond_spark=True), piece(wanted))
        assert not isinstance(refused.value, SparkMustReadError)


def test_a_name_that_differs_in_case_is_another_column_where_case_counts(scan: Scan) -> None:
    exact = Scan(uri=scan.uri, schema=pa.schema([("ID", pa.int64())]), case_sensitive=True)
    assert read(exact, piece(scan))["ID"].to_pylist() == [None] * 10


def test_a_partition_value_that_is_none_of_its_type_is_sparks_to_judge(scan: Scan) -> None:
    with pytest.raises(SparkMustReadError, match="no int"):
        read(scan, piece(scan, values={"part": "seven"}))


@pytest.mark.parametrize(
    ("change", "why"),
    [({"size": 5}, "written again"), ({"modified_ns": 1}, "written again"), ({"path": "gone.parquet"}, "vanished")],
)
def test_a_file_that_is_not_the_planned_one_is_refused(scan: Scan, change: dict[str, Any], why: str) -> None:
    with pytest.raises(SourceReadError, match=why):
        read(scan, piece(scan, **change))


def test_a_file_with_other_rows_than_the_log_counts_is_not_for_workers(scan: Scan) -> None:
    assert read(scan, piece(scan, rows=10)).num_rows == 10
    assert read(scan, piece(scan, rows=4, groups=(0, 3))).num_rows == 4
    for planned in ({"rows": 9}, {"rows": 10, "groups": (0, 3)}):
        with pytest.raises(SparkMustReadError, match="rows by its footer, and"):
            next(read_task(ScanTask(0, (piece(scan, **planned),)), scan))


def test_a_damaged_file_is_named(scan: Scan) -> None:
    path = Path(scan.uri.removeprefix("file://")) / "f.parquet"
    path.write_bytes(path.read_bytes()[:-30] + b"x" * 30)
    with pytest.raises(SourceReadError, match="damaged"):
        read(scan, piece(scan))


@given(
    st.lists(st.sampled_from(["", "a", "ab", "Łódź", "x" * 40, None]), min_size=1, max_size=60),
    st.integers(1, 60),
    st.integers(1, 20),
    st.integers(0, 40),
)
def test_texts_are_the_same_whether_their_pages_hold_a_dictionary_or_not(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None], group: int, batch: int, alone: int
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    few = pa.array((texts * 20)[: 20 * len(texts) - alone % len(texts)], pa.string())
    many = pa.array([f"{number} {text}" for number, text in enumerate(few.to_pylist())])
    lists = pa.array([[each] for each in few.to_pylist()], pa.list_(pa.string()))
    rows = pa.table({"few": few, "list": lists, "many": many})
    schema = pa.schema([("many", pa.string()), ("few", pa.string()), ("list", pa.list_(pa.string()))])
    scan = Scan(uri=f"file://{folder}", schema=schema, batch_rows=batch)
    for dictionary in (True, False):
        pq.write_table(rows, folder / "f.parquet", row_group_size=group, use_dictionary=dictionary, store_schema=False)
        task = ScanTask(0, (Piece("f.parquet", (folder / "f.parquet").stat().st_size),))
        assert pa.Table.from_batches(read_task(task, scan), schema).equals(rows.select(schema.names).cast(schema))


def test_texts_that_repeat_are_read_by_their_dictionary(tmp_path: Path) -> None:
    rows = pa.table({"few": ["a long enough text", None] * 500, "many": [f"text {number}" for number in range(1000)]})
    pq.write_table(rows, tmp_path / "f.parquet")
    file = pq.ParquetFile(tmp_path / "f.parquet")
    plan = read_module._FilePlan({name: name for name in rows.column_names}, {})
    assert read_module._repeated_texts(file, Piece("f.parquet", 0), plan) == ["few"]
    assert read_module._repeated_texts(file, Piece("f.parquet", 0, groups=()), plan) == []


LARGE = "x" * 500_000
# Functions, since each column takes 32 MB.
REPEATED: dict[str, Callable[[], pa.Array]] = {
    "text": lambda: pa.array([LARGE] * 64),
    "binary": lambda: pa.array([LARGE.encode()] * 64),
    "of three": lambda: pa.array([letter * 500_000 for letter in "abc" * 21 + "a"]),
    "inside a struct": lambda: pa.array([{"a": LARGE}] * 64),
    "inside arrays": lambda: pa.array([[LARGE]] * 64),
    "in the second row group": lambda: pa.array(["short"] * 32 + [LARGE] * 32),
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_large_text_that_stands_once_in_a_file_and_in_every_row_fills_no_memory(tmp_path: Path, name: str) -> None:
    rows = pa.table({"id": range(64), "t": REPEATED[name]()})
    pq.write_table(rows, tmp_path / "f.parquet", dictionary_pagesize_limit=2**24, row_group_size=32)
    assert (tmp_path / "f.parquet").stat().st_size < 200_000
    scan = Scan(uri=f"file://{tmp_path}", schema=rows.schema, batch_rows=64, batch_bytes=2**21)
    batches = list(
        read_task(ScanTask(0, (Piece(path="f.parquet", size=(tmp_path / "f.parquet").stat().st_size),)), scan)
    )
    assert pa.Table.from_batches(batches).equals(rows)
    assert max(batch.nbytes for batch in batches) <= 2**21 + 2**16


def test_texts_that_share_their_beginnings_and_many_columns_of_texts_fill_no_memory(tmp_path: Path) -> None:
    shared = pa.table({"t": ["x" * 20_000] * 20_000})
    pq.write_table(shared, tmp_path / "shared.parquet", use_dictionary=False, column_encoding={"t": "DELTA_BYTE_ARRAY"})
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000), pa.array(["y" * 3_800]))
    many = pa.table({f"c{number}": texts for number in range(60)})
    pq.write_table(many, tmp_path / "many.parquet", store_schema=False, write_statistics=False)
    for name, rows, most in (("shared", shared, 2**28), ("many", many, 2**27)):
        path = tmp_path / f"{name}.parquet"
        schema = pa.schema([(column, pa.string()) for column in rows.column_names])
        scan = Scan(uri=f"file://{tmp_path}", schema=schema, batch_rows=65_536)
        first = next(read_task(ScanTask(0, (Piece(path=path.name, size=path.stat().st_size),)), scan))
        assert first.nbytes <= most
