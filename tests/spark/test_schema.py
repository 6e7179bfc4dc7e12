"""Types that are given as objects are kept as DDL that says the same."""

from __future__ import annotations

import pytest
from pyspark.sql.types import ArrayType, DecimalType, DoubleType, MapType, StringType, StructField, StructType

from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.engines.local.ddl import parse_ddl
from spark_infer.spark.schema import as_ddl, result_schema, to_spark


@pytest.mark.parametrize("name", ["score", "a b", "a.b", "a`b", "a:b", "a>b", "1", "größe"])
def test_a_result_type_keeps_the_names_of_its_fields(name: str) -> None:
    leaf = StructType([StructField(name, DoubleType())])
    for declared in (
        leaf,
        ArrayType(leaf),
        MapType(StringType(), ArrayType(leaf)),
        StructType([StructField(name, leaf), StructField("b", DecimalType(12, 2))]),
    ):
        text = as_ddl(declared)
        assert text is not None
        assert parse_ddl(text) == result_schema(declared)
        fields = declared if isinstance(declared, StructType) else StructType([StructField(ONLY_OUTPUT, declared)])
        assert to_spark(parse_ddl(text)) == fields


def test_names_are_quoted_where_they_must_be() -> None:
    names = ("score", "a_1", "a b", "a`b")
    declared = StructType([StructField(name, DoubleType()) for name in names])
    assert as_ddl(declared) == "struct<score:double,a_1:double,`a b`:double,`a``b`:double>"
