"""Spark's JSON of a schema becomes Arrow's schema and back without Spark; `tests/spark` compares with PySpark."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from spark_infer.tables.spark_json import (
    NoSparkTypeError,
    field_from_json,
    is_known,
    may_be_null,
    named_field,
    plain,
    schema_from_json,
    to_json,
    type_name,
    unsupported,
    why_unsupported,
)


def column(name: str, kind: Any, nullable: bool = True, **metadata: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": nullable, "metadata": metadata}


INNER = {"type": "struct", "fields": [column("x", "long", False), column("y", "string", comment="inner")]}
VECTOR = {"type": "udt", "class": "org.apache.spark.ml.linalg.VectorUDT", "pyClass": "v.V", "sqlType": INNER}

COLUMNS = [
    (column("a", "long", False, comment="the key"), pa.int64(), "bigint"),
    (column("b", "decimal(10,2)"), pa.decimal128(10, 2), "decimal(10,2)"),
    (column("c", "timestamp_ntz"), pa.timestamp("us"), "timestamp_ntz"),
    (column("d", "string", __CHAR_VARCHAR_TYPE_STRING="varchar(4)"), pa.string(), "string"),
    (column("e", "string", __COLLATIONS={"e": "icu.de_CI"}), pa.string(), "string collate de_CI"),
    (
        column("f", {"type": "array", "elementType": INNER, "containsNull": False}),
        pa.list_(pa.field("element", pa.struct([pa.field("x", pa.int64(), False), ("y", pa.string())]), False)),
        "array<struct<x:bigint,y:string>>",
    ),
    (
        column("g", {"type": "map", "keyType": "string", "valueType": "byte", "valueContainsNull": False}),
        pa.map_(pa.string(), pa.field("value", pa.int8(), False)),
        "map<string,tinyint>",
    ),
    (column("h", VECTOR), pa.struct([pa.field("x", pa.int64(), False), ("y", pa.string())]), "vector"),
    (column("i", "interval year to month", False), pa.null(), "interval year to month"),
    (column("j", {"type": "array", "elementType": "char(3)", "containsNull": True}), pa.null(), "array<char(3)>"),
    (column("k", "of a later Delta"), pa.null(), "of a later Delta"),
    (column("l", {"type": "of a later Delta"}), pa.null(), "a of a later Delta of another library"),
    (column("m", "void"), pa.null(), "void"),
    (column("o", {"type": "udt", "class": "of.Scala", "sqlType": "string"}), pa.null(), "udt"),
    (column("n", "decimal(39,0)"), pa.null(), "decimal(39,0)"),
]


@pytest.mark.parametrize(("field", "arrow", "name"), COLUMNS, ids=[field["name"] for field, *_ in COLUMNS])
def test_a_column_has_an_arrow_type_and_a_name_and_keeps_all_else(
    field: dict[str, Any], arrow: pa.DataType, name: str
) -> None:
    found = field_from_json(field)
    assert (found.type, type_name(found), may_be_null(found)) == (arrow, name, field["nullable"])
    assert to_json(pa.schema([found])) == {"type": "struct", "fields": [field]}
    assert is_known(found) == (field["name"] not in ("k", "l", "o"))
    carried = arrow != pa.null() or name == "void"
    assert why_unsupported(found) == (None if carried else f"{name}, which Arrow cannot carry to Python")


def test_a_worker_gets_columns_that_may_be_null_and_say_only_why_they_cannot_be_read() -> None:
    schema = plain(schema_from_json(field for field, *_ in COLUMNS))
    assert all(field.nullable for field in schema)
    assert {name for name in schema.names if schema.field(name).metadata} == {"i", "j", "k", "l", "n", "o"}
    assert schema.types == [arrow for _, arrow, _ in COLUMNS]
    assert why_unsupported(plain(pa.schema([unsupported("a", "odd")])).field("a")) == "odd"


def test_a_short_name_is_enough_for_a_type_without_parts() -> None:
    kinds = ["tinyint", "smallint", "int", "bigint", "string", "date", "decimal(5,1)", "timestamp"]
    assert [type_name(named_field("p", kind)) for kind in kinds] == kinds
    assert named_field("p", "bigint").type == pa.int64()


def test_types_of_arrow_that_spark_does_not_have_are_named() -> None:
    with pytest.raises(NoSparkTypeError, match="uint8"):
        to_json(pa.schema([("a", pa.list_(pa.uint8()))]))
