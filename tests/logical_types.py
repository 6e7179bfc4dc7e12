"""A column of every logical type of Parquet, also those that pyarrow does not write, and Spark's type for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.footers import BINARY, BYTE, FALSE, I32, LIST, STRUCT, TRUE, Struct, annotate, change, chunks, elements

Edit = Callable[[list[Struct]], None]


@dataclass(frozen=True)
class Logical:
    """A column.

    Attributes:
        values: Its values, in a type that is stored as the wanted physical type.
        spark: Spark's type, as DDL; None where Spark refuses the file.
        local: The type in which engine `local` carries the values; None where it is Spark's, or there is none.
        edit: Changes the schema elements of the column, its own first.
        carried: Whether the workers can read it.
        how: How it is written.
        path: The path of its leaf below the column, where the edit changes it.
    """

    values: pa.Array
    spark: str | None
    local: str | None = None
    edit: Edit | None = None
    carried: bool = True
    how: dict[str, Any] | None = None
    path: tuple[str, ...] = ()


def logical(number: int | None, detail: Struct | None = None, *, converted: int | None = None) -> Edit:
    return lambda found: annotate(found[0], number, detail, converted=converted)


def of_time(number: int, unit: int, *, utc: bool) -> Edit:
    return logical(number, {1: (TRUE if utc else FALSE, None), 2: (STRUCT, {unit: (STRUCT, {})})})


def of_integer(bits: int, *, signed: bool) -> Edit:
    return logical(10, {1: (BYTE, bits), 2: (TRUE if signed else FALSE, None)})


def of_decimal(precision: int, scale: int) -> Edit:
    return logical(5, {1: (I32, scale), 2: (I32, precision)})


def two_levels(found: list[Struct]) -> None:
    """As Hive and parquet-avro wrote lists: a repeated value in place of a group of one."""
    outer, middle, inner = found[:3]
    inner[3] = (I32, 2)
    inner[4] = (BINARY, b"array")
    middle.clear()
    middle.update(inner)
    inner.clear()
    assert outer[5] == (I32, 1)


INT32, INT64 = pa.array([1, 2, None], pa.int32()), pa.array([1, 2, None], pa.int64())
BYTES = pa.array([b"ab", b"", None], pa.binary())
JSON = pa.array([b'{"a": 1}', b"null", None], pa.binary())
UTC, WALL = pa.timestamp("us", "UTC"), pa.timestamp("us")
VARIANT = pa.struct([pa.field("value", pa.binary(), False), pa.field("metadata", pa.binary(), False)])

LOGICAL: dict[str, Logical] = {
    "boolean": Logical(pa.array([True, False, None]), "boolean"),
    "int32": Logical(INT32, "int"),
    "int8": Logical(pa.array([-128, 127, None], pa.int8()), "tinyint"),
    "int16": Logical(pa.array([-(2**15), 2**15 - 1, None], pa.int16()), "smallint"),
    "uint8": Logical(pa.array([0, 255, None], pa.uint8()), "smallint"),
    "uint16": Logical(pa.array([0, 2**16 - 1, None], pa.uint16()), "int"),
    "uint32": Logical(pa.array([0, 2**32 - 1, None], pa.uint32()), "bigint"),
    "int64": Logical(INT64, "bigint"),
    "int64 with a sign": Logical(INT64, "bigint", edit=of_integer(64, signed=True)),
    "uint64": Logical(pa.array([0, 2**64 - 1, None], pa.uint64()), "decimal(20,0)"),
    "int32 of 64 bits": Logical(INT32, None, edit=of_integer(64, signed=True), carried=False),
    "int96": Logical(
        pa.array([0, 1_600_000_000_000_000, None], pa.timestamp("us")),
        "timestamp",
        carried=False,
        how={"use_deprecated_int96_timestamps": True},
    ),
    "float": Logical(pa.array([1.5, float("nan"), None], pa.float32()), "float"),
    "double": Logical(pa.array([-0.0, float("inf"), None]), "double"),
    "date": Logical(pa.array([-141_427, 20_000, None], pa.int32()).cast(pa.date32()), "date"),
    "bytes": Logical(BYTES, "binary"),
    "bson": Logical(BYTES, "binary", edit=logical(13)),
    "text": Logical(pa.array(["ü", "", None]), "string"),
    "enum": Logical(pa.array([b"A", b"B", None]), "string", edit=logical(4)),
    "enum, older": Logical(pa.array([b"A", b"B", None]), "string", edit=logical(None, converted=4)),
    "json": Logical(JSON, "string", edit=logical(12)),
    "json of Arrow": Logical(pa.array(['{"a": 1}', "null", None], pa.json_()), "string"),
    "fixed bytes": Logical(pa.array([b"abc", b"def", None], pa.binary(3)), "binary"),
    "uuid": Logical(pa.array([b"0123456789abcdef", None, None], pa.uuid()), None, local="binary"),
    "half float": Logical(pa.array([1.5, -0.0, None], pa.float16()), None, local="float"),
    "interval": Logical(
        pa.array([b"123456789012", None, None], pa.binary(12)), None, edit=logical(None, converted=21), carried=False
    ),
    "decimal in 4 bytes": Logical(
        pa.array([Decimal("-1.50"), Decimal("9999999.99"), None], pa.decimal128(9, 2)),
        "decimal(9,2)",
        how={"store_decimal_as_integer": True},
    ),
    "decimal in 8 bytes": Logical(
        pa.array([Decimal("-1.50"), None, None], pa.decimal128(18, 2)),
        "decimal(18,2)",
        how={"store_decimal_as_integer": True},
    ),
    "decimal in fixed bytes": Logical(pa.array([Decimal("-1.50"), None, None], pa.decimal128(5, 2)), "decimal(5,2)"),
    "decimal in many bytes": Logical(pa.array([Decimal("-1.50"), None, None], pa.decimal128(38, 2)), "decimal(38,2)"),
    "decimal in bytes": Logical(pa.array([b"\xff", b"\x01\x00", None]), "decimal(20,1)", edit=of_decimal(20, 1)),
    "decimal beyond 38 digits": Logical(pa.array([Decimal(1), None, None], pa.decimal256(40, 0)), None, carried=False),
    "decimal too long for its bytes": Logical(INT32, None, edit=of_decimal(10, 1), carried=False),
    "milliseconds": Logical(pa.array([0, 1, None], pa.timestamp("ms", "UTC")), "timestamp"),
    "microseconds": Logical(pa.array([0, 1, None], UTC), "timestamp"),
    "milliseconds, local": Logical(pa.array([0, 1, None], pa.timestamp("ms")), "timestamp_ntz"),
    "microseconds, local": Logical(pa.array([0, 1, None], WALL), "timestamp_ntz"),
    "microseconds, older type": Logical(INT64, "timestamp", edit=logical(None, converted=10)),
    "microseconds, local, with the older type": Logical(
        INT64,
        "timestamp_ntz",
        edit=logical(8, {1: (FALSE, None), 2: (STRUCT, {2: (STRUCT, {})})}, converted=10),
    ),
    "nanoseconds": Logical(pa.array([0, 1000, None], pa.timestamp("ns", "UTC")), None, local="timestamp"),
    "nanoseconds, local": Logical(pa.array([0, 1000, None], pa.timestamp("ns")), None, local="timestamp_ntz"),
    "time": Logical(pa.array([0, 1, None], pa.time64("us")), None, carried=False),
    "time in UTC": Logical(INT64, None, edit=of_time(7, 2, utc=True), carried=False),
    "time, milliseconds": Logical(pa.array([0, 1, None], pa.time32("ms")), None, carried=False),
    "time, nanoseconds": Logical(pa.array([0, 1, None], pa.time64("ns")), None, carried=False),
    "duration of Arrow": Logical(pa.array([0, 1, None], pa.duration("us")), "bigint"),
    "nothing": Logical(pa.nulls(3), "int"),
    "geometry": Logical(BYTES, "geometry(4326)", edit=logical(17), carried=False),
    "geography": Logical(BYTES, "geography(4326)", edit=logical(18), carried=False),
    "variant": Logical(
        pa.array([{"value": b"\x0c\x01", "metadata": b"\x01\x00\x00"}, None, None], VARIANT),
        "variant",
        edit=logical(16, {1: (BYTE, 1)}),
        carried=False,
    ),
    "struct": Logical(
        pa.array([{"a": 1, "b": [None, "x"]}, {"a": None, "b": None}, None]), "struct<a:bigint,b:array<string>>"
    ),
    "list": Logical(pa.array([[1, None], [], None], pa.list_(pa.int32())), "array<int>"),
    "list of fixed size": Logical(pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int32(), 2)), "array<int>"),
    "list of large lists": Logical(
        pa.array([[[1]], [], None], pa.large_list(pa.large_list(pa.uint8()))), "array<array<smallint>>"
    ),
    "list in two levels": Logical(
        pa.array([[1, 2], [], [3]], pa.list_(pa.field("element", pa.int32(), False))),
        "array<int>",
        edit=two_levels,
        path=("array",),
    ),
    "map": Logical(pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int8())), "map<string,tinyint>"),
    "map, older type": Logical(
        pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int8())),
        "map<string,tinyint>",
        edit=logical(None, converted=2),
    ),
    "text views": Logical(pa.array(["a", "b", None], pa.string_view()), "string"),
    "dictionary": Logical(pa.array(["a", "b", None]).dictionary_encode(), "string"),
}


def written_alike(names: Iterable[str]) -> list[list[str]]:
    """Names in groups that one file can hold."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(str(LOGICAL[name].how), []).append(name)
    return list(groups.values())


def write(path: Path, *names: str) -> None:
    """Write a file with the columns ``id`` and ``x``, and one of each of some types that are written alike."""
    table = pa.table({"id": [0, 1, 2], "x": [0.0, 0.25, 0.5], **{name: LOGICAL[name].values for name in names}})
    pq.write_table(table, path, **(LOGICAL[names[0]].how or {}))

    def edited(footer: Struct) -> None:
        found = elements(footer)
        for name in names:
            edit, leaf = LOGICAL[name].edit, LOGICAL[name].path
            if edit is not None:
                start = next(at for at, each in enumerate(found) if each.get(4) == (BINARY, name.encode()))
                edit(found[start:])
                found[:] = [element for element in found if element]
                # The types of Arrow's own, which pyarrow would put in place of Parquet's.
                footer.pop(5, None)
            if leaf:
                (chunk,) = (each for each in chunks(footer) if each[3][1][1][0] == name.encode())
                chunk[3] = (LIST, (BINARY, [part.encode() for part in (name, *leaf)]))

    change(path, edited)
