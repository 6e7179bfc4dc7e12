"""Files that a task writes: every row once, in the folder of its partition, under a name of its own."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.errors import WriteError
from spark_infer.tables.predicate import partition_scope
from spark_infer.tables.sink.folders import folder_of, split
from spark_infer.tables.sink.sink import ParquetSink, from_json, to_json, write_empty
from spark_infer.tables.sink.sink_spec import SinkSpec
from spark_infer.tables.storage import open_storage

SCHEMA = pa.schema([("id", pa.int64()), ("part", pa.string()), ("score", pa.float64()), ("model", pa.string())])


def spec(folder: Path, partition_by: tuple[str, ...] = ()) -> SinkSpec:
    constants = {"model": "m"}
    return SinkSpec(
        uri=f"file://{folder}",
        run_id="run1",
        schema=SCHEMA,
        constants=constants,
        partition_by=partition_by,
        metadata={"spark": "{}"},
    )


def rows(*parts: str | None, start: int = 0) -> pa.RecordBatch:
    ids = pa.array(range(start, start + len(parts)), pa.int64())
    scores = pa.array([i / 2 for i in range(len(parts))])
    return pa.RecordBatch.from_arrays([ids, pa.array(parts, pa.string()), scores], names=["id", "part", "score"])


def test_rows_come_back_as_they_were_with_the_constants(tmp_path: Path) -> None:
    sink = ParquetSink(spec(tmp_path), 3)
    sink.write(rows("a", None))
    sink.write(rows("b", start=2))
    (file,) = from_json(to_json(sink.close()))
    table = pq.read_table(tmp_path / file.path)
    assert table.schema.names == SCHEMA.names
    assert table.to_pydict() == {
        "id": [0, 1, 2], "part": ["a", None, "b"], "score": [0.0, 0.5, 0.0], "model": ["m"] * 3
    }  # fmt: skip
    assert (file.rows, file.size, file.values) == (3, (tmp_path / file.path).stat().st_size, {})
    assert file.path.startswith("part-00003-run1-")
    assert pq.read_metadata(tmp_path / file.path).metadata == {b"spark": b"{}"}


def test_two_tries_of_one_task_write_different_files(tmp_path: Path) -> None:
    paths = set()
    for _ in range(2):
        sink = ParquetSink(spec(tmp_path), 0)
        sink.write(rows("a"))
        paths |= {file.path for file in sink.close()}
    assert len(paths) == len(list(tmp_path.iterdir())) == 2


def test_each_partition_has_its_folder_and_its_values(tmp_path: Path) -> None:
    sink = ParquetSink(spec(tmp_path, ("part",)), 0)
    sink.write(rows("a=b", None, "a=b"))
    files = sink.close()
    assert {file.path.rpartition("/")[0]: (file.rows, file.values["part"]) for file in files} == {
        "part=a%3Db": (2, "a=b"),
        "part=__HIVE_DEFAULT_PARTITION__": (1, None),
    }
    assert pq.read_table(tmp_path / files[0].path, partitioning=None).schema.names == ["id", "score", "model"]


PARTS = st.lists(st.sampled_from(["a", "b", None, "ü"]), max_size=12)


@given(st.lists(PARTS, max_size=6))
def test_splitting_loses_no_row_and_keeps_the_order(batches: list[list[str | None]]) -> None:
    for parts in batches:
        batch = rows(*parts)
        if not parts:
            continue
        found = [(values["part"], part.column("id").to_pylist()) for values, part in split(batch, ["part"])]
        wanted: dict[str | None, list[int]] = {}
        for number, part in enumerate(parts):
            wanted.setdefault(part, []).append(number)
        assert dict(found) == wanted
        assert len(found) == len(wanted)


def test_many_partitions_are_written_with_few_files_open(tmp_path: Path) -> None:
    sink = ParquetSink(spec(tmp_path, ("part",)), 0)
    for _ in range(2):
        sink.write(rows(*(f"p{i}" for i in range(200))))
    assert len(os.listdir("/proc/self/fd")) < 150
    files = sink.close()
    assert sum(file.rows for file in files) == 400
    assert ds.dataset(tmp_path, partitioning="hive").count_rows() == 400


def test_row_groups_and_files_have_bounds(tmp_path: Path) -> None:
    small = replace(spec(tmp_path), row_group_bytes=1000, most_file_bytes=3000)
    sink = ParquetSink(small, 0)
    for start in range(0, 1000, 10):
        sink.write(rows(*"abcdefghij", start=start))
    files = sink.close()
    assert len(files) > 1
    assert all(file.size < 6000 for file in files)
    assert sum(file.rows for file in files) == 1000
    ids = [value for file in files for value in pq.read_table(tmp_path / file.path)["id"].to_pylist()]
    assert ids == list(range(1000))


def test_rows_that_must_not_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="empty string"):
        ParquetSink(spec(tmp_path, ("part",)), 0).write(rows("a", ""))
    scope, problems = partition_scope({"part": ("a", None)}, {"part": "string"})
    assert problems == []
    sink = ParquetSink(replace(spec(tmp_path, ("part",)), scope=scope), 0)
    sink.write(rows("a", None))
    with pytest.raises(WriteError, match="outside the table partitions"):
        sink.write(rows("b"))
    sink.abort()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="could not write into"):
        ParquetSink(spec(tmp_path / "file"), 0).write(rows("a"))


def test_a_table_without_rows_still_has_its_columns(tmp_path: Path) -> None:
    storage = open_storage(f"file://{tmp_path}")
    assert storage is not None
    write_empty(spec(tmp_path, ("part",)), storage, "empty.parquet", {"mark": "x"})
    found = pq.read_table(tmp_path / "empty.parquet")
    assert (found.num_rows, found.schema.names) == (0, ["id", "part", "score", "model"])
    assert pq.read_metadata(tmp_path / "empty.parquet").metadata[b"mark"] == b"x"


def test_statistics_hold_what_readers_may_rely_on(tmp_path: Path) -> None:
    schema = pa.schema(
        [("i", pa.int64()), ("f", pa.float64()), ("nan", pa.float64()), ("t", pa.string()), ("long", pa.string()),
         ("d", pa.date32()), ("at", pa.timestamp("us", "UTC")), ("none", pa.int32()), ("list", pa.list_(pa.int64()))]
    )  # fmt: skip
    batch = pa.RecordBatch.from_pydict(
        {
            "i": [3, None, -1],
            "f": [0.5, 2.5, None],
            "nan": [1.0, np.nan, 2.0],
            "t": ["b", "a", "ü"],
            "long": ["x" * 40] * 3,
            "d": [date(2020, 1, 2), None, date(1999, 12, 31)],
            "at": [datetime(2020, 1, 1, tzinfo=timezone.utc)] * 3,
            "none": [None] * 3,
            "list": [[1], None, []],
        },
        schema=schema,
    )
    sink = ParquetSink(SinkSpec(uri=f"file://{tmp_path}", run_id="r", schema=schema), 0)
    sink.write(batch)
    (file,) = sink.close()
    assert file.statistics["minValues"] == {"i": -1, "t": "a", "d": "1999-12-31"}
    assert file.statistics["maxValues"] == {"i": 3, "t": "ü", "d": "2020-01-02"}
    nulls = {"i": 1, "t": 0, "long": 0, "d": 1, "at": 0, "none": 3}
    assert file.statistics["nullCount"] == nulls
    group = pq.read_metadata(tmp_path / file.path).row_group(0)
    kept = {group.column(i).path_in_schema for i in range(group.num_columns) if group.column(i).is_stats_set}
    assert kept == set(nulls)


@pytest.mark.parametrize(
    ("values", "folder"),
    [
        ({}, ""),
        ({"a": "1", "b": None}, "a=1/b=__HIVE_DEFAULT_PARTITION__"),
        ({"a b": 'x/y:"%'}, "a b=x%2Fy%3A%22%25"),
    ],
)
def test_folders_are_called_as_spark_calls_them(values: dict[str, str | None], folder: str) -> None:
    assert folder_of(values) == folder
