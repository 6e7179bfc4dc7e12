"""Every shape of predictions: what a model returns, as what it is declared, and what must stand in the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

ARROW = {
    "array<array<bigint>>": pa.list_(pa.list_(pa.int64())),
    "array<array<float>>": pa.list_(pa.list_(pa.float32())),
    "array<double>": pa.list_(pa.float64()),
    "array<string>": pa.list_(pa.string()),
    "bigint": pa.int64(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "decimal(10,2)": pa.decimal128(10, 2),
    "decimal(20,0)": pa.decimal128(20, 0),
    "double": pa.float64(),
    "float": pa.float32(),
    "int": pa.int32(),
    "map<string,bigint>": pa.map_(pa.string(), pa.int64()),
    "smallint": pa.int16(),
    "string": pa.string(),
    "struct<a:double>": pa.struct([("a", pa.float64())]),
    "struct<m:map<string,bigint>>": pa.struct([("m", pa.map_(pa.string(), pa.int64()))]),
    "struct<a:int,b:array<string>>": pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}
"""The declared types in Arrow."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One output.

    Attributes:
        name: Name of the output.
        told: What the model returns, for the document.
        declared: Its type in the result type, as DDL.
        values: The values of rows 0, 1, …, in Python.
        put: Makes the container that the model returns out of the values of some rows.
        rows: What must stand in the table, where that is not spelled as ``values``.
    """

    name: str
    told: str
    declared: str
    values: tuple[Any, ...]
    put: Callable[[list[Any]], Any] = list
    rows: tuple[Any, ...] | None = None

    def returned(self, rows: Sequence[int]) -> Any:
        """What the model returns for these rows."""
        return self.put([self.values[row] for row in rows])

    def expected(self, row: int) -> Any:
        """What must stand in the table."""
        return (self.rows or self.values)[row]


def _of(dtype: str) -> Callable[[list[Any]], Any]:
    return lambda values: np.array(values, dtype=dtype)


def _tuples(values: list[Any]) -> list[Any]:
    return [tuple(value) for value in values]


NOON = datetime(2024, 3, 10, 2, 30, 0, 1)

SHAPES: list[Shape] = [
    Shape(name="score", told="1-D float array", declared="double", values=(0.1, float("inf")), put=_of("float64")),
    Shape(
        name="gaps", told="float array, NaN", declared="int", values=(7.0, float("nan")), put=_of("f8"), rows=(7, None)
    ),
    Shape(name="half", told="float16 array", declared="float", values=(0.5, -2.0), put=_of("float16")),
    Shape(name="count", told="int array", declared="bigint", values=(2**63 - 1, -(2**63)), put=_of("int64")),
    Shape(
        name="unsigned",
        told="uint64 array",
        declared="decimal(20,0)",
        values=(2**64 - 1, 0),
        put=_of("uint64"),
        rows=(Decimal(2**64 - 1), Decimal(0)),
    ),
    Shape(name="tiny", told="uint8 array", declared="smallint", values=(255, 0), put=_of("uint8")),
    Shape(name="some", told="list of int, None", declared="bigint", values=(2**53 + 1, None)),
    Shape(name="label", told="string array", declared="string", values=("é漢🙂", "a"), put=_of("str")),
    Shape(name="text", told="list of str, None", declared="string", values=("a\0b", None)),
    Shape(name="code", told="int array as text", declared="string", values=(1, -2), put=_of("int64"), rows=("1", "-2")),
    Shape(
        name="digits",
        told="float array as text",
        declared="string",
        values=(1e22, float("nan")),
        put=_of("f8"),
        rows=("1e+22", None),
    ),
    Shape(
        name="flags",
        told="boolean array as text",
        declared="string",
        values=(True, False),
        put=_of("bool"),
        rows=("True", "False"),
    ),
    Shape(
        name="kind",
        told="categories",
        declared="string",
        values=("a", None),
        put=lambda v: pd.Series(v, dtype="category"),
    ),
    Shape(name="truth", told="boolean array", declared="boolean", values=(True, False), put=_of("bool")),
    Shape(name="perhaps", told="list of bool, None", declared="boolean", values=(None, True)),
    Shape(
        name="column",
        told="2-D array of one column",
        declared="double",
        values=([1.5], [2.5]),
        put=_of("f8"),
        rows=(1.5, 2.5),
    ),
    Shape(name="row", told="2-D array", declared="array<double>", values=([1.0, -0.0], [2.0, 3.0]), put=_of("f8")),
    Shape(
        name="cube",
        told="3-D array",
        declared="array<array<float>>",
        values=([[1.0], [2.0]], [[3.0], [4.0]]),
        put=_of("f4"),
    ),
    Shape(
        name="ragged",
        told="list of arrays, None",
        declared="array<double>",
        values=([1.0], None),
        put=lambda values: [None if value is None else np.array(value) for value in values],
    ),
    Shape(
        name="squares",
        told="list of 2-D arrays",
        declared="array<array<bigint>>",
        values=([[1, 2]], [[3], [4]]),
        put=lambda values: [np.array(value) for value in values],
    ),
    Shape(name="words", told="list of lists of str", declared="array<string>", values=(["a", None], [])),
    Shape(
        name="spelled",
        told="list of lists of numbers",
        declared="array<string>",
        values=([1.0, True], [None, 1e-05]),
        rows=(["1.0", "True"], [None, "1e-05"]),
    ),
    Shape(
        name="object",
        told="list of dicts",
        declared="struct<a:int,b:array<string>>",
        values=({"a": 1, "b": ["x"]}, {"a": None, "b": None}),
    ),
    Shape(name="no_object", told="list of dicts, None", declared="struct<a:double>", values=({"a": 1.5}, None)),
    Shape(name="table", told="list of dicts", declared="map<string,bigint>", values=({"é": 2**53 + 1}, {})),
    Shape(name="raw", told="list of bytes", declared="binary", values=(b"\x00\xff", None)),
    Shape(
        name="day",
        told="date array",
        declared="date",
        values=(date(1, 1, 1), date(9999, 12, 31)),
        put=_of("datetime64[D]"),
    ),
    Shape(name="days", told="list of dates, None", declared="date", values=(date(2024, 2, 29), None)),
    Shape(
        name="wall",
        told="datetime array",
        declared="timestamp_ntz",
        values=(NOON, datetime(1700, 1, 1)),
        put=_of("datetime64[us]"),
    ),
    Shape(
        name="instant",
        told="list of datetimes with a zone",
        declared="timestamp",
        values=(NOON.replace(tzinfo=timezone.utc), None),
    ),
    Shape(name="money", told="list of Decimal", declared="decimal(10,2)", values=(Decimal("-0.01"), None)),
    Shape(
        name="cents",
        told="float array as decimal",
        declared="decimal(10,2)",
        values=(0.1, 99999999.99),
        put=_of("f8"),
        rows=(Decimal("0.10"), Decimal("99999999.99")),
    ),
    Shape(
        name="boxed",
        told="list of arrays of one value",
        declared="double",
        values=([1.5], [2.5]),
        put=lambda values: [np.array(value) for value in values],
        rows=(1.5, 2.5),
    ),
    Shape(name="pair", told="list of tuples", declared="array<double>", values=([1.0, 2.0], [3.0]), put=_tuples),
    Shape(
        name="gap",
        told="list of lists, NaN",
        declared="array<double>",
        values=([1.0], float("nan")),
        rows=([1.0], None),
    ),
    Shape(
        name="no_table",
        told="list of dicts, NaN",
        declared="map<string,bigint>",
        values=({"a": 1}, float("nan")),
        rows=({"a": 1}, None),
    ),
    Shape(
        name="inner",
        told="list of dicts of dicts",
        declared="struct<m:map<string,bigint>>",
        values=({"m": {"a": 1}}, {"m": {}}),
    ),
    Shape(name="nothing", told="list of None", declared="double", values=(None, None)),
]

DECLARED = ", ".join(f"`{shape.name}` {shape.declared}" for shape in SHAPES)
