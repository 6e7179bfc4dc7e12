"""Result types in DDL mean for engine `local` what they mean for Spark; `tests/spark/test_schema.py` compares."""

from __future__ import annotations

import pyarrow as pa
import pytest

from spark_infer.core.prediction_columns import ONLY_OUTPUT
from spark_infer.core.result_type import check_result_type
from spark_infer.engines.local.ddl import parse_ddl
from spark_infer.errors import ConfigError

ALONE = {
    "double": pa.float64(),
    "bool": pa.bool_(),
    "BIGINT": pa.int64(),
    "decimal": pa.decimal128(10, 0),
    "decimal(12, 2)": pa.decimal128(12, 2),
    "timestamp_ntz": pa.timestamp("us"),
    "array<float>": pa.list_(pa.float32()),
    "map<string,array<int>>": pa.map_(pa.string(), pa.list_(pa.int32())),
}


@pytest.mark.parametrize("text", ALONE)
def test_a_type_alone_is_that_of_the_only_output(text: str) -> None:
    assert parse_ddl(text) == pa.schema([(ONLY_OUTPUT, ALONE[text])])


@pytest.mark.parametrize("text", ["label string, score double NOT NULL", "struct<label: string, score: double>"])
def test_columns_and_a_struct_are_several_outputs_that_may_be_null(text: str) -> None:
    assert parse_ddl(text) == pa.schema([("label", pa.string()), ("score", pa.float64())])


@pytest.mark.parametrize("text", ["", "no type", "array<", "interval"])
def test_what_is_not_a_type_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a type that engine `local` can read"):
        parse_ddl(text)


@pytest.mark.parametrize(
    "kind", [pa.null(), pa.time64("ns"), pa.duration("us"), pa.map_(pa.list_(pa.int8()), pa.int8())]
)
def test_types_that_no_model_returns_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(ConfigError, match="result_type 'odd' is not a type that predictions can have"):
        check_result_type(pa.schema([("a", pa.int64()), ("b", kind)]), "odd")
