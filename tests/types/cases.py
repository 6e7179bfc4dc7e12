"""Every type of column that a table can have, what a model may take it as, and what must reach the model.

The lists are the source of the tests without Spark, of those through Spark's three doors, and of docs/type-matrix.md.
What is expected is derived by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa

NONE = "None"
NAN = "nan"
NAT = "NaT"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One type on its way into a model.

    Attributes:
        column: Name of the column, in the table and in the signature.
        spark: Type of the column in Spark, as DDL.
        type: The same in Arrow.
        values: What the table holds, a row each.
        takes: MLflow's type of the input, a name or the JSON of a nested one; None for a model without a signature.
        dtype: Dtype of what reaches the model.
        seen: What reaches the model, spelled by `echo.told`, one for each of ``values``.
        null: What a null reaches the model as; None where it is refused.
        null_dtype: Dtype of a batch that holds a null, where it is another.
        metadata: Of the column in Spark.
    """

    column: str
    spark: str
    type: pa.DataType
    values: tuple[Any, ...]
    takes: str | Mapping[str, Any] | None
    dtype: str
    seen: tuple[str, ...]
    null: str | None = None
    null_dtype: str | None = None
    metadata: Mapping[str, str] | None = None


def at(*moment: int) -> datetime:
    """A moment in UTC."""
    return datetime(*moment, tzinfo=timezone.utc)  # type: ignore[arg-type,misc]


def array(items: str | Mapping[str, Any]) -> dict[str, Any]:
    """MLflow's JSON of an array."""
    return {"type": "array", "items": {"type": items} if isinstance(items, str) else items}


def tensor(dtype: str, *shape: int) -> dict[str, Any]:
    """MLflow's JSON of a tensor."""
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}}


_FLOATS = (float("nan"), float("inf"), -0.0, 2.0**-149, -(2.0**128) + 2.0**104, 0.5)
_FLOATS_SEEN = ("nan", "inf", "-0.0", "1.401298464324817e-45", "-3.4028234663852886e+38", "0.5")
_TEXT = ("", "é漢🙂", "a\0b", "ä" * 70_000)
_TEXT_SEEN = ("''", "'é漢🙂'", "'a\\x00b'", "'ä' x 70000")
_DAYS = (date(1677, 9, 23), date(1970, 1, 1), date(2262, 4, 10))
_DAYS_SEEN = ("1677-09-23T00:00:00", "1970-01-01T00:00:00", "2262-04-10T00:00:00")
# The night in which clocks in St. John's went from 02:00 to 03:00, which is 05:30 UTC.
_MOMENTS = (at(2024, 3, 10, 5, 29, 59, 999_999), at(2024, 3, 10, 5, 30), at(1900, 1, 1, 0, 0, 0, 1))
_MOMENTS_SEEN = ("2024-03-10T05:29:59.999999", "2024-03-10T05:30:00", "1900-01-01T00:00:00.000001")
_GAP = (datetime(2024, 3, 10, 2, 30), datetime(2200, 1, 1), datetime(1700, 1, 1, 0, 0, 0, 1))
_GAP_SEEN = ("2024-03-10T02:30:00", "2200-01-01T00:00:00", "1700-01-01T00:00:00.000001")
VECTOR = pa.struct(
    [
        pa.field("type", pa.int8(), False),
        pa.field("size", pa.int32()),
        pa.field("indices", pa.list_(pa.field("element", pa.int32(), False))),
        pa.field("values", pa.list_(pa.field("element", pa.float64(), False))),
    ]
)


def dense(*values: float) -> dict[str, Any]:
    """A dense vector as Spark sends it."""
    return {"type": 1, "size": None, "indices": None, "values": list(values)}


def sparse(size: int, **at: float) -> dict[str, Any]:
    """A sparse vector as Spark sends it: ``sparse(3, _2=1.5)``."""
    return {"type": 0, "size": size, "indices": [int(key[1:]) for key in at], "values": list(at.values())}


_VECTORS = (dense(1.0, -0.0, 3.0), sparse(3, _0=5.0, _2=7.0), sparse(3))
_VECTORS_SEEN = ("float64[1.0, -0.0, 3.0]", "float64[5.0, 0.0, 7.0]", "float64[0.0, 0.0, 0.0]")


def _integers() -> list[Case]:
    widths = {"byte": 8, "short": 16, "int": 32, "long": 64}
    arrow = {"byte": pa.int8(), "short": pa.int16(), "int": pa.int32(), "long": pa.int64()}
    pairs = [("byte", "integer"), ("short", "integer"), ("int", "integer"), ("byte", "long"), ("int", "long")]
    cases = []
    for spark, takes in [*pairs, ("long", "long"), ("byte", "double"), ("short", "float"), ("int", "double")]:
        low, high = -(2 ** (widths[spark] - 1)), 2 ** (widths[spark] - 1) - 1
        is_float = takes in ("double", "float")
        cases.append(
            Case(
                column=f"{spark}_{takes}",
                spark=spark,
                type=arrow[spark],
                values=(low, high, 0),
                takes=takes,
                dtype={"integer": "int32", "long": "int64", "float": "float32", "double": "float64"}[takes],
                seen=tuple(f"{value}.0" if is_float else str(value) for value in (low, high, 0)),
                null=NAN if is_float else None,
            )
        )
    return cases


SCALARS: list[Case] = [
    *_integers(),
    Case(
        column="long_double",
        spark="long",
        type=pa.int64(),
        values=(2**53, -(2**53)),
        takes="double",
        dtype="float64",
        seen=("9007199254740992.0", "-9007199254740992.0"),
        null=NAN,
    ),
    Case(
        column="cents",
        spark="decimal(10,2)",
        type=pa.decimal128(10, 2),
        values=(Decimal("-0.01"), Decimal("99999999.99")),
        takes="double",
        dtype="float64",
        seen=("-0.01", "99999999.99"),
        null=NAN,
    ),
    Case(
        column="digits",
        spark="decimal(38,18)",
        type=pa.decimal128(38, 18),
        values=(Decimal("0.1"), Decimal("12345678901234567890.123456789012345678"), Decimal("1E-18")),
        takes="double",
        dtype="float64",
        seen=("0.1", "1.2345678901234567e+19", "1e-18"),
        null=NAN,
    ),
    Case(
        column="huge",
        spark="decimal(38,0)",
        type=pa.decimal128(38, 0),
        values=(Decimal("9" * 38),),
        takes="double",
        dtype="float64",
        seen=("1e+38",),
        null=NAN,
    ),
    Case(
        column="float_float",
        spark="float",
        type=pa.float32(),
        values=_FLOATS,
        takes="float",
        dtype="float32",
        seen=_FLOATS_SEEN,
        null=NAN,
    ),
    Case(
        column="float_double",
        spark="float",
        type=pa.float32(),
        values=_FLOATS,
        takes="double",
        dtype="float64",
        seen=_FLOATS_SEEN,
        null=NAN,
    ),
    Case(
        column="double_double",
        spark="double",
        type=pa.float64(),
        values=(float("nan"), float("-inf"), -0.0, 5e-324, 1.7976931348623157e308, 0.1),
        takes="double",
        dtype="float64",
        seen=("nan", "-inf", "-0.0", "5e-324", "1.7976931348623157e+308", "0.1"),
        null=NAN,
    ),
    Case(
        column="truth",
        spark="boolean",
        type=pa.bool_(),
        values=(True, False),
        takes="boolean",
        dtype="bool",
        seen=("True", "False"),
        null=NONE,
        null_dtype="object",
    ),
    Case(
        column="text",
        spark="string",
        type=pa.string(),
        values=_TEXT,
        takes="string",
        dtype="object",
        seen=_TEXT_SEEN,
        null=NONE,
    ),
    Case(
        column="collated",
        spark="string collate UTF8_LCASE",
        type=pa.string(),
        values=("Ab", "aB"),
        takes="string",
        dtype="object",
        seen=("'Ab'", "'aB'"),
        null=NONE,
    ),
    Case(
        column="padded",
        spark="char(4)",
        type=pa.string(),
        values=("ab  ", "abcd"),
        takes="string",
        dtype="object",
        seen=("'ab  '", "'abcd'"),
        null=NONE,
        metadata={"__CHAR_VARCHAR_TYPE_STRING": "char(4)"},
    ),
    Case(
        column="bytes",
        spark="binary",
        type=pa.binary(),
        values=(b"", b"\x00\xff"),
        takes="binary",
        dtype="object",
        seen=("b''", "b'00ff'"),
        null=NONE,
    ),
    Case(
        column="day",
        spark="date",
        type=pa.date32(),
        values=_DAYS,
        takes="datetime",
        dtype="datetime64[ns]",
        seen=_DAYS_SEEN,
        null=NAT,
    ),
    Case(
        column="instant",
        spark="timestamp",
        type=pa.timestamp("us", "UTC"),
        values=_MOMENTS,
        takes="datetime",
        dtype="datetime64[ns]",
        seen=_MOMENTS_SEEN,
        null=NAT,
    ),
    Case(
        column="wall_clock",
        spark="timestamp_ntz",
        type=pa.timestamp("us"),
        values=_GAP,
        takes="datetime",
        dtype="datetime64[ns]",
        seen=_GAP_SEEN,
        null=NAT,
    ),
    Case(
        column="nothing",
        spark="void",
        type=pa.null(),
        values=(None,),
        takes="string",
        dtype="object",
        seen=(NONE,),
        null=NONE,
    ),
]

NESTED: list[Case] = [
    Case(
        column="doubles",
        spark="array<double>",
        type=pa.list_(pa.float64()),
        values=([1.0, -0.0], [], [float("inf")]),
        takes=array("double"),
        dtype="object",
        seen=("float64[1.0, -0.0]", "float64[]", "float64[inf]"),
        null=NONE,
    ),
    Case(
        column="prices",
        spark="array<decimal(20,18)>",
        type=pa.list_(pa.decimal128(20, 18)),
        values=([Decimal("0.1"), Decimal("0.000000000000000001")],),
        takes=array("double"),
        dtype="object",
        seen=("float64[0.1, 1e-18]",),
        null=NONE,
    ),
    Case(
        column="counts",
        spark="array<int>",
        type=pa.list_(pa.int32()),
        values=([-(2**31), 2**31 - 1], [0]),
        takes=array("long"),
        dtype="object",
        seen=("int64[-2147483648, 2147483647]", "int64[0]"),
        null=NONE,
    ),
    Case(
        column="embedding",
        spark="array<float>",
        type=pa.list_(pa.float32()),
        values=([0.5, float("nan")], [], [2.0**-149]),
        takes=array("float"),
        dtype="object",
        seen=("float32[0.5, nan]", "float32[]", "float32[1.401298464324817e-45]"),
        null=NONE,
    ),
    Case(
        column="tokens",
        spark="array<int>",
        type=pa.list_(pa.int32()),
        values=([-(2**31), 2**31 - 1], [0]),
        takes=array("integer"),
        dtype="object",
        seen=("int32[-2147483648, 2147483647]", "int32[0]"),
        null=NONE,
    ),
    Case(
        column="layers",
        spark="array<array<array<float>>>",
        type=pa.list_(pa.list_(pa.list_(pa.float32()))),
        values=([[[1.0], [2.0]], [[3.0], [4.0]]], [[[1.0]], [[2.0], [3.0]]], []),
        takes=array(array(array("float"))),
        dtype="object",
        seen=(
            "float32[float32[float32[1.0], float32[2.0]], float32[float32[3.0], float32[4.0]]]",
            "[float32[float32[1.0]], float32[float32[2.0], float32[3.0]]]",
            "object[]",
        ),
        null=NONE,
    ),
    Case(
        column="sizes",
        spark="struct<f:float,n:int,l:array<float>,r:array<struct<m:map<string,int>>>>",
        type=pa.struct(
            [
                ("f", pa.float32()),
                ("n", pa.int32()),
                ("l", pa.list_(pa.float32())),
                ("r", pa.list_(pa.struct([("m", pa.map_(pa.string(), pa.int32()))]))),
            ]
        ),
        values=({"f": 0.5, "n": 7, "l": [0.5], "r": [{"m": [("a", 1)]}]},),
        takes={
            "type": "object",
            "properties": {
                "f": {"type": "float", "required": True},
                "n": {"type": "integer", "required": True},
                "l": {**array("float"), "required": True},
                "r": {
                    **array(
                        {
                            "type": "object",
                            "properties": {"m": {"type": "map", "values": {"type": "integer"}, "required": True}},
                        }
                    ),
                    "required": True,
                },
            },
        },
        dtype="object",
        seen=("{'f': 0.5, 'l': float32[0.5], 'n': 7, 'r': object[{'m': {'a': 1}}]}",),
        null=NONE,
    ),
    Case(
        column="words",
        spark="array<string>",
        type=pa.list_(pa.string()),
        values=(["", "é"], ["a\0b"]),
        takes=array("string"),
        dtype="object",
        seen=("str['', 'é']", "str['a\\x00b']"),
        null=NONE,
    ),
    Case(
        column="grid",
        spark="array<array<float>>",
        type=pa.list_(pa.list_(pa.float32())),
        values=([[1.0], [2.0, 3.0]], [[]]),
        takes=array(array("double")),
        dtype="object",
        seen=("[float64[1.0], float64[2.0, 3.0]]", "float64[float64[]]"),
        null=NONE,
    ),
    Case(
        column="weights",
        spark="map<string,int>",
        type=pa.map_(pa.string(), pa.int32()),
        values=([("é", -1), ("", 2)], []),
        takes={"type": "map", "values": {"type": "long"}},
        dtype="object",
        seen=("{'é': -1, '': 2}", "{}"),
        null=NONE,
    ),
    Case(
        column="record",
        spark="struct<b:int,a:struct<x:float,y:string>,more:string>",
        type=pa.struct(
            [
                ("b", pa.int32()),
                ("a", pa.struct([("x", pa.float32()), ("y", pa.string())])),
                ("more", pa.string()),
            ]
        ),
        values=({"b": 7, "a": {"x": 0.5, "y": "é"}, "more": "m"},),
        takes={
            "type": "object",
            "properties": {
                "a": {
                    "type": "object",
                    "properties": {"x": {"type": "double", "required": True}, "y": {"type": "string"}},
                    "required": True,
                },
                "b": {"type": "long", "required": True},
            },
        },
        dtype="object",
        seen=("{'a': {'x': 0.5, 'y': 'é'}, 'b': 7}",),
        null=NONE,
    ),
    Case(
        column="vector_array",
        spark="vector",
        type=VECTOR,
        values=_VECTORS,
        takes=array("double"),
        dtype="object",
        seen=_VECTORS_SEEN,
        null=NONE,
    ),
    Case(
        column="vector_vector",
        spark="vector",
        type=VECTOR,
        values=_VECTORS,
        takes={"type": "sparkml_vector"},
        dtype="object",
        seen=_VECTORS_SEEN,
        null=NONE,
    ),
]

UNSIGNED: list[Case] = [
    Case(
        column="any_decimal",
        spark="decimal(38,18)",
        type=pa.decimal128(38, 18),
        values=(Decimal("-12345678901234567890.123456789012345678"),),
        takes=None,
        dtype="object",
        seen=("Decimal('-12345678901234567890.123456789012345678')",),
        null=NONE,
    ),
    Case(
        column="any_date",
        spark="date",
        type=pa.date32(),
        values=_DAYS,
        takes=None,
        dtype="datetime64[ns]",
        seen=_DAYS_SEEN,
        null=NAT,
    ),
    Case(
        column="any_instant",
        spark="timestamp",
        type=pa.timestamp("us", "UTC"),
        values=_MOMENTS,
        takes=None,
        dtype="datetime64[ns]",
        seen=_MOMENTS_SEEN,
        null=NAT,
    ),
    Case(
        column="any_instants",
        spark="array<timestamp>",
        type=pa.list_(pa.timestamp("us", "UTC")),
        values=([_MOMENTS[0], None],),
        takes=None,
        dtype="object",
        seen=(f"object[{_MOMENTS_SEEN[0]}, None]",),
        null=NONE,
    ),
    Case(
        column="any_map",
        spark="map<int,string>",
        type=pa.map_(pa.int32(), pa.string()),
        values=([(1, "a"), (-2, None)],),
        takes=None,
        dtype="object",
        seen=("{1: 'a', -2: None}",),
        null=NONE,
    ),
    Case(
        column="any_record",
        spark="struct<a:array<int>,t:struct<b:binary>>",
        type=pa.struct([("a", pa.list_(pa.int32())), ("t", pa.struct([("b", pa.binary())]))]),
        values=({"a": [1, None], "t": {"b": b"\xff"}}, {"a": None, "t": None}, {"a": [1], "t": None}),
        takes=None,
        dtype="object",
        seen=(
            "{'a': object[1, None], 't': {'b': b'ff'}}",
            "{'a': None, 't': None}",
            "{'a': int32[1], 't': None}",
        ),
        null=NONE,
    ),
    Case(
        column="any_vector",
        spark="vector",
        type=VECTOR,
        values=_VECTORS,
        takes=None,
        dtype="object",
        seen=_VECTORS_SEEN,
        null=NONE,
    ),
]

TENSORS: list[Case] = [
    Case(
        column="rounded",
        spark="array<double>",
        type=pa.list_(pa.float64()),
        values=([0.1, None, 2.0**128 - 2.0**104], [float("-inf"), 1e-46, 16777217.0]),
        takes=tensor("float32", 3),
        dtype="float32",
        seen=(
            "float32[0.10000000149011612, nan, 3.4028234663852886e+38]",
            "float32[-inf, 0.0, 16777216.0]",
        ),
    ),
    Case(
        column="row3",
        spark="array<double>",
        type=pa.list_(pa.float64()),
        values=([1.0, None, float("-inf")], [-0.0, 5e-324, 0.1]),
        takes=tensor("float64", 3),
        dtype="float64",
        seen=("float64[1.0, nan, -inf]", "float64[-0.0, 5e-324, 0.1]"),
    ),
    Case(
        column="square",
        spark="array<array<float>>",
        type=pa.list_(pa.list_(pa.float32())),
        values=([[1.0, 2.0], [3.0, 4.0]],),
        takes=tensor("float32", 2, 2),
        dtype="float32",
        seen=("float32[float32[1.0, 2.0], float32[3.0, 4.0]]",),
    ),
    Case(
        column="flat_square",
        spark="array<float>",
        type=pa.list_(pa.float32()),
        values=([1.0, 2.0, 3.0, 4.0],),
        takes=tensor("float32", 2, 2),
        dtype="float32",
        seen=("float32[float32[1.0, 2.0], float32[3.0, 4.0]]",),
    ),
    Case(
        column="open",
        spark="array<double>",
        type=pa.list_(pa.float64()),
        values=([1.0, 2.0], [3.0, 4.0]),
        takes=tensor("float64", -1),
        dtype="float64",
        seen=("float64[1.0, 2.0]", "float64[3.0, 4.0]"),
    ),
    Case(
        column="ids",
        spark="array<int>",
        type=pa.list_(pa.int32()),
        values=([-(2**31), 2**31 - 1],),
        takes=tensor("int64", 2),
        dtype="int64",
        seen=("int64[-2147483648, 2147483647]",),
    ),
    Case(
        column="pixels",
        spark="array<short>",
        type=pa.list_(pa.int16()),
        values=([0, 255],),
        takes=tensor("uint8", 2),
        dtype="uint8",
        seen=("uint8[0, 255]",),
    ),
    Case(
        column="mask",
        spark="array<boolean>",
        type=pa.list_(pa.bool_()),
        values=([True, False], [False, False]),
        takes=tensor("bool", 2),
        dtype="bool",
        seen=("bool[True, False]", "bool[False, False]"),
    ),
    Case(
        column="number",
        spark="long",
        type=pa.int64(),
        values=(2**63 - 1, -(2**63)),
        takes=tensor("int64"),
        dtype="int64",
        seen=("9223372036854775807", "-9223372036854775808"),
    ),
    Case(
        column="single",
        spark="double",
        type=pa.float64(),
        values=(0.1,),
        takes=tensor("float64", 1),
        dtype="float64",
        seen=("float64[0.1]",),
        null="float64[nan]",
    ),
    Case(
        column="vector_tensor",
        spark="vector",
        type=VECTOR,
        values=_VECTORS,
        takes=tensor("float64", 3),
        dtype="float64",
        seen=_VECTORS_SEEN,
    ),
]

MODELS: dict[str, list[Case]] = {"columns": [*SCALARS, *NESTED], "unsigned": UNSIGNED, "tensors": TENSORS}
"""The cases of each of the models that the tests save."""
