"""What statistics leave out holds no row that is asked for, however odd the statistics are."""

from __future__ import annotations

import json
import struct
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_infer.tables.listing import SourceFile
from spark_infer.tables.scan.prune import file_may_hold, groups_that_may_hold
from spark_infer.tables.where.sql import condition
from tests import footers


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


@pytest.mark.matrix
@pytest.mark.parametrize("digits", [9, 18, 38])
def test_a_condition_on_decimals_keeps_the_groups_that_hold_them_however_they_are_stored(
    tmp_path: Path, digits: int
) -> None:
    table = pa.table({"c": pa.array([Decimal("1.50"), Decimal("2.50")], pa.decimal128(digits, 2))})
    for as_integer in (True, False):
        pq.write_table(table, tmp_path / "f.parquet", row_group_size=1, store_decimal_as_integer=as_integer)
        found = pq.read_metadata(tmp_path / "f.parquet")
        kept = groups_that_may_hold(found, [0, 1], condition("c > 2.00", table.schema), {"c": "c"}, {})
        assert 1 in kept  # pyarrow 19 does not read bounds that are stored as whole numbers, and then all are kept


def test_bounds_that_python_holds_leave_groups_out(tmp_path: Path) -> None:
    table = pa.table({"c": [date(2026, 1, 1), date(2026, 1, 2), date(2026, 2, 1)]})
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=2)
    found = pq.read_metadata(tmp_path / "f.parquet")
    wanted = condition("c >= '2026-02-01'", table.schema)
    assert groups_that_may_hold(found, [0, 1], wanted, {"c": "c"}, {}) == [1]


def written(path: Path, column: pa.Array, created_by: str | None = None, **bounds: bytes) -> pq.FileMetaData:
    """A file of one column, as an older writer would have left it, and its footer."""
    pq.write_table(pa.table({"c": column}), path)

    def of_old_writer(footer: footers.Struct) -> None:
        footers.of_old_writer(footer, created_by)
        statistics = footers.chunks(footer)[0][12][1]
        statistics.update({{"low": 2, "high": 1}[side]: (footers.BINARY, value) for side, value in bounds.items()})

    if created_by is not None or bounds:
        footers.change(path, of_old_writer)
    return pq.read_metadata(path)


OLD_WRITERS = (
    "parquet-mr version 1.8.1 (build 4aba4dae7bb0d4edbcf7923ae1339f28fd3f7fcf)",
    "parquet-mr version 1.9.0",
    "parquet-mr",
    "impala version 2.2.0-SNAPSHOT (build abc)",
    "somebody",
    "",
)


@pytest.mark.parametrize("created_by", OLD_WRITERS)
@pytest.mark.parametrize(
    ("column", "bounds", "where"),
    [
        # 1.00 and 2.00 are 0x64 and 0xC8: compared as bytes with a sign, the second one is the smaller.
        (
            pa.array([Decimal("1.00"), Decimal("2.00")], pa.decimal128(20, 2)),
            {"low": bytes(8) + b"\xc8", "high": bytes(8) + b"\x64"},
            "c = 1.00",
        ),
        (pa.array([2**31, 1], pa.uint32()), {"low": (2**31).to_bytes(4, "little"), "high": b"\1\0\0\0"}, "c = 1"),
        (pa.array(["a", "é"]), {"low": "é".encode(), "high": b"a"}, "c = 'é'"),
    ],
    ids=["decimal", "unsigned", "text"],
)
def test_bounds_in_the_order_of_bytes_are_not_trusted(
    tmp_path: Path, created_by: str, column: pa.Array, bounds: dict[str, bytes], where: str
) -> None:
    found = written(tmp_path / "f.parquet", column, created_by, **bounds)
    wanted = condition(where, pa.schema([("c", pa.int64() if pa.types.is_uint32(column.type) else column.type)]))
    assert groups_that_may_hold(found, [0], wanted, {"c": "c"}, {}) == [0]


@pytest.mark.parametrize(
    ("column", "where"),
    [
        (pa.array([1, 2]), "c > 2"),
        (pa.array([1.5, float("nan")]), "c < 1"),
        (pa.array([date(2026, 1, 1)]), "c > '2026-01-01'"),
        (pa.array([False]), "c"),
    ],
    ids=str,
)
def test_bounds_of_numbers_with_a_sign_are_trusted_whoever_wrote_them(
    tmp_path: Path, column: pa.Array, where: str
) -> None:
    for created_by in OLD_WRITERS:
        found = written(tmp_path / "f.parquet", column, created_by)
        assert groups_that_may_hold(found, [0], condition(where, pa.schema([("c", column.type)])), {"c": "c"}, {}) == []


@pytest.mark.parametrize(
    ("column", "where"),
    [
        (pa.array(["a", "é"]), "c > 'é'"),
        (pa.array([Decimal("1.00")], pa.decimal128(20, 2)), "c > 1.00"),
    ],
    ids=str,
)
def test_bounds_of_writers_that_know_the_order_are_trusted(tmp_path: Path, column: pa.Array, where: str) -> None:
    pq.write_table(pa.table({"c": column}), tmp_path / "f.parquet")
    for created_by in ("parquet-cpp-arrow version 9.0.0", "parquet-mr version 1.12.3-databricks-0001 (build abc)"):

        def by(footer: footers.Struct, name: str = created_by) -> None:
            footer[6] = (footers.BINARY, name.encode())

        footers.change(tmp_path / "f.parquet", by)
        found = pq.read_metadata(tmp_path / "f.parquet")
        assert groups_that_may_hold(found, [0], condition(where, pa.schema([("c", column.type)])), {"c": "c"}, {}) == []


@pytest.mark.parametrize("side", ["low", "high"])
def test_neither_bound_is_trusted_beside_a_nan(tmp_path: Path, side: str) -> None:
    bounds = {"low": struct.pack("<d", 2.0), "high": struct.pack("<d", 3.0), side: struct.pack("<d", float("nan"))}
    found = written(tmp_path / "f.parquet", pa.array([1.0, 4.0]), "somebody", **bounds)
    for where in ("c < 2", "c = 4", "c = 1"):
        wanted = condition(where, pa.schema([("c", pa.float64())]))
        assert groups_that_may_hold(found, [0], wanted, {"c": "c"}, {}) == [0]


@pytest.mark.parametrize("zero", ["0.0", "-0.0"])
def test_zeros_of_either_sign_are_one_number(tmp_path: Path, zero: str) -> None:
    pq.write_table(pa.table({"c": [float(zero)]}), tmp_path / "f.parquet")
    found = pq.read_metadata(tmp_path / "f.parquet")
    for where in ("c = 0.0", "c = -0.0", "c >= 0.0", "c <= -0.0"):
        wanted = condition(where, pa.schema([("c", pa.float64())]))
        assert groups_that_may_hold(found, [0], wanted, {"c": "c"}, {}) == [0]


def test_where_the_file_does_not_count_nulls_there_may_be_some(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": [1, None]}), tmp_path / "f.parquet")

    def forget(footer: footers.Struct) -> None:
        del footers.chunks(footer)[0][12][1][3]

    footers.change(tmp_path / "f.parquet", forget)
    found = pq.read_metadata(tmp_path / "f.parquet")
    for where in ("c IS NULL", "c IS NOT NULL"):
        wanted = condition(where, pa.schema([("c", pa.int64())]))
        assert groups_that_may_hold(found, [0], wanted, {"c": "c"}, {}) == [0]


def test_a_column_that_is_not_read_as_it_is_stored_has_no_bounds(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": pa.array([300], pa.int32())}), tmp_path / "f.parquet")
    found = pq.read_metadata(tmp_path / "f.parquet")
    assert groups_that_may_hold(found, [0], condition("c = 44", pa.schema([("c", pa.int8())])), {}, {}) == [0]
