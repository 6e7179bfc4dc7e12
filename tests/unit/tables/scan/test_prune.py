"""What statistics leave out holds no row that is asked for, however odd the statistics are."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.tables.listing import SourceFile
from spark_infer.tables.scan.prune import file_may_hold, groups_that_may_hold
from spark_infer.tables.where.sql import condition


@pytest.mark.parametrize("text", ["0.7", "3.3", "0.1", "16777217"])
@pytest.mark.parametrize("op", ["<", "<=", "=", ">=", ">"])
def test_a_float_in_delta_s_log_is_the_float_and_not_the_double_of_its_digits(text: str, op: str) -> None:
    schema = pa.schema([("f", pa.float32())])
    there = float(np.float32(text))
    bound = float(text)  # as Spark writes it: the shortest digits that make the float
    statistics = {"numRecords": 1, "minValues": {"f": bound}, "maxValues": {"f": bound}, "nullCount": {"f": 0}}
    file = SourceFile("a", 1, statistics=json.dumps(statistics))
    holds = {"<": there < bound, "<=": there <= bound, "=": there == bound, ">=": True, ">": True}[op]
    may = file_may_hold(file, condition(f"f {op} {bound!r}e0", schema), schema, {})
    assert may or not holds


def test_a_field_of_a_struct_is_not_taken_for_a_column_of_that_name(tmp_path: Path) -> None:
    table = pa.table({"a.b": [1, 2], "a": [{"b": 1001}, {"b": 1002}]})
    for order in (["a.b", "a"], ["a", "a.b"]):
        pq.write_table(table.select(order), tmp_path / "f.parquet")
        found = pq.read_metadata(tmp_path / "f.parquet")
        wanted = condition("`a.b` < 30", pa.schema([table.schema.field("a.b")]))
        assert groups_that_may_hold(found, [0], wanted, {"a.b": "a.b"}, {}) == [0]
        none = condition("`a.b` > 30", pa.schema([table.schema.field("a.b")]))
        assert groups_that_may_hold(found, [0], none, {"a.b": "a.b"}, {}) == []


@pytest.mark.parametrize(
    ("column", "where"),
    [
        (pa.array([2_932_897, 0], pa.int32()).cast(pa.date32()), "c >= '2000-01-01'"),
        (pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xffa", b"b"]).buffers()), "c = 'b'"),
    ],
    ids=["dates beyond 9999", "texts that are no UTF-8"],
)
def test_bounds_that_python_cannot_hold_are_unknown(tmp_path: Path, column: pa.Array, where: str) -> None:
    pq.write_table(pa.table({"c": column}), tmp_path / "f.parquet")
    found = pq.read_metadata(tmp_path / "f.parquet")
    wanted = condition(where, pa.schema([("c", column.type)]))
    assert groups_that_may_hold(found, [0], wanted, {"c": "c"}, {}) == [0]


def test_bounds_that_python_holds_leave_groups_out(tmp_path: Path) -> None:
    table = pa.table({"c": [date(2026, 1, 1), date(2026, 1, 2), date(2026, 2, 1)]})
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=2)
    found = pq.read_metadata(tmp_path / "f.parquet")
    wanted = condition("c >= '2026-02-01'", table.schema)
    assert groups_that_may_hold(found, [0, 1], wanted, {"c": "c"}, {}) == [1]
