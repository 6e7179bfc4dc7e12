from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from spark_infer.config.features import FeaturesConfig
from spark_infer.errors import SourceError
from spark_infer.tables.feature_join import plan_join

SOURCE = pa.schema(
    {"customer": pa.int32(), "bought_at": pa.timestamp("us", "UTC"), "day": pa.date32(), "price": pa.float64()}
)
INCOME = pa.schema(
    {"customer": pa.int64(), "valid_from": pa.timestamp("us", "UTC"), "day": pa.timestamp("us"), "income": pa.int64()}
)


def features(**config: Any) -> FeaturesConfig:
    return FeaturesConfig.model_validate({"path": "income", **config})


def test_all_columns_but_keys_and_times_are_joined_and_a_mapping_renames_them() -> None:
    asked = features(keys="customer", as_of={"bought_at": "valid_from"})
    with pytest.raises(SourceError) as raised:
        plan_join(asked, SOURCE, INCOME)
    assert raised.value.details == ("day: there is a column of this name already",)
    renamed = features(keys="customer", as_of={"bought_at": "valid_from"}, columns={"day": "since", "income": "income"})
    join = plan_join(renamed, SOURCE, INCOME)
    assert (join.keys, join.time) == ({"customer": "customer"}, ("bought_at", "valid_from"))
    assert join.columns == {"day": "since", "income": "income"}
    lookup = plan_join(features(keys={"customer": "customer"}, columns=["income"]), SOURCE, INCOME)
    assert (lookup.time, lookup.columns) == (None, {"income": "income"})


def test_every_column_that_does_not_fit_is_named_at_once() -> None:
    asked = features(keys={"custmer": "customer", "price": "income"}, as_of="day", columns=["incom", "customer"])
    with pytest.raises(SourceError, match="The features of income cannot be joined") as raised:
        plan_join(asked, SOURCE, INCOME)
    assert raised.value.details == (
        "custmer: the source has no such column (did you mean 'customer'?)",
        "price: a column of type double does not say which rows belong together",
        "day: the source has date, the feature table has timestamp_ntz in day",
        "incom: the feature table has no such column (did you mean 'income'?)",
        "customer: there is a column of this name already",
    )


@pytest.mark.parametrize(
    ("kind", "is_key"),
    [
        (pa.string(), True),
        (pa.decimal128(9, 2), True),
        (pa.bool_(), True),
        (pa.binary(), True),
        (pa.float32(), False),
        (pa.duration("us"), False),
        (pa.list_(pa.int32()), False),
    ],
)
def test_keys_are_of_types_whose_values_are_equal_or_not(kind: pa.DataType, is_key: bool) -> None:
    source, table = pa.schema({"k": kind}), pa.schema({"k": kind, "income": pa.int64()})
    if is_key:
        assert plan_join(features(keys="k"), source, table).keys == {"k": "k"}
        return
    with pytest.raises(SourceError, match="cannot be joined") as raised:
        plan_join(features(keys="k"), source, table)
    assert "does not say which rows belong together" in raised.value.details[0]


def test_features_without_a_column_of_their_own_are_refused() -> None:
    with pytest.raises(SourceError) as raised:
        plan_join(features(keys="customer"), SOURCE, INCOME.remove(3).remove(2).remove(1))
    assert raised.value.details == ("the feature table has no column beside keys and times",)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"keys": []}, "at least 1 item"),
        ({"keys": {}}, "name at least one column"),
        ({"keys": "a", "as_of": {"a": "b", "c": "d"}}, "one column of each table"),
        ({"keys": "a", "as_of": {}}, "one column of each table"),
        ({"keys": "a", "query": "select 1"}, "give one of"),
        ({}, "keys"),
    ],
)
def test_features_say_what_belongs_together(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        features(**config)
