"""Types that are given as objects are kept as DDL that says the same."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("name", ["score", "a b", "a.b", "a`b", "a:b", "a>b", "1", "größe"])
def test_a_result_type_keeps_the_names_of_its_fields(name: str) -> None:
    types = pytest.importorskip("pyspark.sql.types")
    from spark_infer.spark.ddl import parse_ddl
    from spark_infer.spark.schema import as_ddl, result_schema

    leaf = types.StructType([types.StructField(name, types.DoubleType())])
    for declared in (
        leaf,
        types.ArrayType(leaf),
        types.MapType(types.StringType(), types.ArrayType(leaf)),
        types.StructType([types.StructField(name, leaf), types.StructField("b", types.DecimalType(12, 2))]),
    ):
        text = as_ddl(declared)
        assert text is not None
        assert parse_ddl(text) == declared
        assert result_schema(text, parse=parse_ddl) == result_schema(declared)
    assert as_ddl(leaf) == (
        f"struct<{name}:double>" if name == "score" else f"struct<`{name.replace('`', '``')}`:double>"
    )
