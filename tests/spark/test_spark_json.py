"""Schemas in Arrow say all that PySpark's own classes say: there and back, names of types, and Arrow types."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.errors import PySparkException
from pyspark.ml.linalg import MatrixUDT, VectorUDT
from pyspark.sql import types
from pyspark.sql.pandas import types as pandas_types
from pyspark.sql.types import ArrayType, DataType, DecimalType, MapType, StringType, StructField, StructType

from spark_infer.core.signature import marked
from spark_infer.tables.spark_json import (
    field_from_json,
    is_known,
    may_be_null,
    schema_from_json,
    to_json,
    type_name,
    type_names,
    why_unsupported,
)

ATOMS: list[DataType] = [
    types.BooleanType(),
    types.ByteType(),
    types.ShortType(),
    types.IntegerType(),
    types.LongType(),
    types.FloatType(),
    types.DoubleType(),
    types.BinaryType(),
    types.DateType(),
    types.TimestampType(),
    types.TimestampNTZType(),
    types.NullType(),
    StringType(),
    types.CharType(3),
    types.VarcharType(4),
    DecimalType(),
    DecimalType(38, 38),
    DecimalType(5, -2),
    *(types.DayTimeIntervalType(*ends) for ends in ((), (0,), (1, 3), (3,))),
    *(types.YearMonthIntervalType(*ends) for ends in ((), (0,), (1,))),
    VectorUDT(),
    MatrixUDT(),
]
HAS_COLLATIONS = hasattr(StringType, "isUTF8BinaryCollation")  # later than Spark 3.5
if HAS_COLLATIONS:
    ATOMS += [StringType("UTF8_LCASE"), StringType("de_CI")]
    ATOMS += [types.VariantType(), types.CalendarIntervalType()]
if hasattr(types, "TimeType"):  # later than Spark 4.0
    ATOMS += [types.TimeType(), types.TimeType(3)]
if hasattr(types, "GeometryType"):
    ATOMS += [types.GeometryType(srid) for srid in (4326, 3857, 0, "ANY")]
    ATOMS += [types.GeographyType(srid) for srid in (4326, "ANY")]

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
METADATA = st.dictionaries(
    st.sampled_from(["comment", "delta.identity.start", "größe"]), st.integers() | st.text() | st.none()
)


def structs(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[StructType]:
    fields = st.builds(StructField, NAMES, inner, st.booleans(), METADATA)
    return st.lists(fields, max_size=3).map(StructType)


def nested(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[DataType]:
    maps = st.builds(MapType, inner, inner, st.booleans())
    return st.one_of(structs(inner), st.builds(ArrayType, inner, st.booleans()), maps)


TYPES: st.SearchStrategy[DataType] = st.recursive(st.sampled_from(ATOMS), nested, max_leaves=6)


def in_arrow(schema: StructType) -> pa.Schema:
    return schema_from_json(json.loads(schema.json())["fields"])


def sent(kind: DataType) -> pa.DataType | None:
    """The Arrow type in which Spark sends a type; None where it sends none."""
    convert: Any = pandas_types.to_arrow_type
    known = inspect.signature(convert).parameters
    # Spark 4.0 has no `timezone`, for it knows UTC alone; 3.5 has neither.
    wanted = {"error_on_duplicated_field_names_in_struct": True, "timezone": "UTC"}
    try:
        return convert(kind, **{name: value for name, value in wanted.items() if name in known})
    except (PySparkException, ValueError):
        return None


@pytest.mark.parametrize("kind", ATOMS, ids=repr)
def test_each_type_is_the_one_in_which_spark_sends_it(kind: DataType) -> None:
    field = field_from_json(json.loads(json.dumps(StructField("c", kind).jsonValue())))
    wanted = sent(kind)
    assert type_name(field) == kind.simpleString()
    assert is_known(field)
    if wanted is None:
        assert field.type == pa.null()
        assert why_unsupported(field) == f"{kind.simpleString()}, which Arrow cannot carry to Python"
    else:
        assert why_unsupported(field) is None
        # The marks of variants and geometries, too.
        assert field.type.equals(wanted, check_metadata=True)


@given(structs(TYPES))
def test_a_schema_of_all_types_and_depths_comes_back_as_it_was(schema: StructType) -> None:
    arrow = in_arrow(schema)
    assert StructType.fromJson(to_json(arrow)) == schema
    assert [type_name(field) for field in arrow] == [field.dataType.simpleString() for field in schema]
    assert arrow.names == schema.names
    for field, theirs in zip(arrow, schema, strict=True):
        wanted = sent(theirs.dataType)
        assert may_be_null(field) == theirs.nullable
        assert (why_unsupported(field) is None) == (wanted is not None)
        assert field.type == (pa.null() if wanted is None else wanted)


def from_arrow_type(arrow: pa.DataType) -> DataType:
    return pandas_types.from_arrow_type(arrow, prefer_timestamp_ntz=True)


NO_NULLS = pa.list_(pa.field("element", pa.int32(), nullable=False))
knows_elements = pytest.mark.skipif(
    not isinstance(made := from_arrow_type(NO_NULLS), ArrayType) or made.containsNull,
    reason="PySpark 3.5 does not say which elements of an Arrow array may be null, and refuses lists of a fixed size",
)


@knows_elements
@given(TYPES)
def test_a_type_of_arrow_alone_is_the_one_that_spark_makes_of_it(kind: DataType) -> None:
    arrow = sent(kind)
    if arrow is None or any(mark in ("geometry", "geography") for mark in marks(arrow)):
        return  # no model returns them
    made = StructType.fromJson(to_json(pa.schema([pa.field("c", arrow)])))
    assert without_metadata(made["c"].dataType) == without_metadata(from_arrow_type(arrow))


def marks(arrow: pa.DataType) -> list[str | None]:
    inner = [arrow.field(at).type for at in range(arrow.num_fields)] if pa.types.is_nested(arrow) else []
    own = [marked(arrow)] if pa.types.is_struct(arrow) else []
    return own + [mark for each in inner for mark in marks(each)]


def without_metadata(kind: DataType) -> Any:
    """A type's JSON without the metadata of its fields, of which Spark before 4.2 keeps none in Arrow."""

    def plain(part: Any) -> Any:
        if isinstance(part, list):
            return [plain(each) for each in part]
        return (
            {key: plain(value) for key, value in part.items() if key != "metadata"} if isinstance(part, dict) else part
        )

    return plain(kind.jsonValue())


ARROW_ONLY = [
    pa.large_string(),
    pa.large_binary(),
    pa.binary(4),
    pa.large_list(pa.int32()),
    pa.list_(pa.float64(), 3),
    pa.timestamp("ns"),
    pa.timestamp("ms", "Europe/Berlin"),
    pa.dictionary(pa.int32(), pa.string()),
    pa.decimal256(38, 2),
]


@knows_elements
@pytest.mark.parametrize("arrow", ARROW_ONLY, ids=str)
def test_other_types_of_arrow_become_what_spark_makes_of_them(arrow: pa.DataType) -> None:
    made = StructType.fromJson(to_json(pa.schema([pa.field("c", arrow)])))
    assert made["c"].dataType == from_arrow_type(arrow)


def test_names_of_the_types_of_a_table() -> None:
    text, named = (
        (StringType("UTF8_LCASE"), "string collate UTF8_LCASE") if HAS_COLLATIONS else (StringType(), "string")
    )
    schema = StructType([StructField("a", ArrayType(text)), StructField("b", types.LongType())])
    assert type_names(in_arrow(schema)) == {"a": f"array<{named}>", "b": "bigint"}
