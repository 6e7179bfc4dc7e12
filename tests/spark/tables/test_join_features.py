"""Features joined by Spark: each row once, with the feature row that pandas finds."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_infer.config.features import FeaturesConfig
from spark_infer.errors import SourceReadError
from spark_infer.spark.exceptions import translated
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.tables.join_features import with_features
from spark_infer.tables.feature_join import plan_join

ROWS = 10_000


def joined(rows: DataFrame, features: DataFrame, **config: Any) -> DataFrame:
    asked = FeaturesConfig.model_validate({"path": "income", **config})
    return with_features(rows, features, plan_join(asked, to_arrow(rows.schema), to_arrow(features.schema)))


def some_null(random: np.random.Generator, values: pa.Array) -> pa.Array:
    return pa.array(values.to_pylist(), values.type, mask=random.random(len(values)) < 0.02)


@pytest.mark.parametrize(
    ("key", "time"),
    [
        (pa.string(), pa.timestamp("us", "UTC")),
        (pa.int64(), pa.timestamp("us")),
        pytest.param(pa.date32(), pa.date32(), marks=pytest.mark.soak),
        pytest.param(pa.decimal128(21, 2), pa.int64(), marks=pytest.mark.soak),
    ],
)
def test_features_as_of_a_time_are_those_of_merge_asof(
    spark: SparkSession, key: pa.DataType, time: pa.DataType
) -> None:
    # 300 keys and 2,000 times for 10,000 rows of each table: many ties between the tables, keys that only one has,
    # rows older than each feature, nulls in keys and times; a key of the feature table has each time once.
    random = np.random.default_rng(26)
    numbers = list(range(10_000, 10_330))
    days = [date(1900, 1, 1) + timedelta(days=each) for each in numbers]
    keys = pa.array(days) if key == pa.date32() else pa.array(numbers).cast(key)
    times = (
        pa.array(range(2_000), pa.int32()).cast(time if time in (pa.date32(), pa.int64()) else pa.int64()).cast(time)
    )

    def sample(first: int) -> dict[str, pa.Array]:
        return {
            "k": some_null(random, keys.take(pa.array(random.integers(first, first + 300, ROWS)))),
            "n": pa.array(random.integers(0, 2, ROWS), pa.int16()),
            "t": some_null(random, times.take(pa.array(random.integers(0, 2_000, ROWS)))),
            "id": pa.array(range(ROWS), pa.int64()),
        }

    rows, drawn = pa.table(sample(0)), pa.table(sample(30)).to_pandas(types_mapper=pd.ArrowDtype)
    once = drawn.drop_duplicates(["k", "n", "t"])
    features = pa.Table.from_pandas(once, preserve_index=False).rename_columns(["customer", "n", "since", "income"])
    features = features.set_column(1, "n", features["n"].cast(pa.int64()))

    got = joined(
        spark.createDataFrame(rows),
        spark.createDataFrame(features),
        keys={"k": "customer", "n": "n"},
        as_of={"t": "since"},
    ).toArrow()

    assert got.column_names == ["k", "n", "t", "id", "income"]
    assert got.schema.field("n").type == pa.int16()
    assert got.select(rows.column_names).sort_by("id").cast(rows.schema).equals(rows)
    left = rows.to_pandas(types_mapper=pd.ArrowDtype).dropna().astype({"n": "int64"})
    right = features.to_pandas(types_mapper=pd.ArrowDtype).dropna().astype({"n": "int64"})
    left["at"], right["at"] = (_ticks(frame[name]) for frame, name in ((left, "t"), (right, "since")))
    expected = pd.merge_asof(
        left.sort_values("at"),
        right.sort_values("at"),
        on="at",
        left_by=["k", "n"],
        right_by=["customer", "n"],
    )
    wanted = dict(zip(expected["id"], expected["income"], strict=True))
    answers = dict(zip(got["id"].to_pylist(), got["income"].to_pylist(), strict=True))
    assert answers == {each: _plain(wanted.get(each)) for each in range(ROWS)}
    assert 4_000 < sum(value is not None for value in answers.values()) < ROWS - 500


def _ticks(times: pd.Series[Any]) -> pd.Series[Any]:
    kind = times.dtype.pyarrow_dtype
    numbers = pa.array(times).cast(pa.int32() if kind == pa.date32() else pa.int64())
    return pd.Series(numbers.to_numpy(), index=times.index)


def _plain(value: Any) -> int | None:
    return None if value is None or value is pd.NA or value != value else int(value)


def test_a_lookup_gives_each_row_the_one_row_of_its_key(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(1, "a", None), (2, "b", 0.5), (3, None, 1.5), (4, "b", 2.5), (5, "z", 3.5)],
        "id INT, `k.ey` STRING, `x``y` DOUBLE",
    )
    features = spark.createDataFrame([("a", None, 7), ("b", 2, 8), (None, 3, 9)], "key STRING, `in.come` INT, age INT")
    got = joined(rows, features, keys={"k.ey": "key"}, columns={"in.come": "income", "age": "k"})
    assert got.columns == ["id", "k.ey", "x`y", "income", "k"]
    found = {row["id"]: (row["x`y"], row["income"], row["k"]) for row in got.collect()}
    assert found == {
        1: (None, None, 7),
        2: (0.5, 2, 8),
        3: (1.5, None, None),
        4: (2.5, 2, 8),
        5: (3.5, None, None),
    }


@pytest.mark.parametrize("as_of", [None, "day"])
def test_a_key_that_occurs_twice_ends_the_job_and_is_found_by_a_query(spark: SparkSession, as_of: str | None) -> None:
    rows = spark.sql("SELECT id AS k, DATE'2026-01-05' AS day FROM range(3)")
    other = spark.sql("SELECT 77 AS k, DATE'2026-01-01' AS day, 1 AS income UNION ALL SELECT 77, DATE'2026-01-01', 2")
    with pytest.raises(SourceReadError, match="A key occurs more than once") as raised, translated():
        joined(rows, other, keys="k", as_of=as_of, columns="income").collect()
    said = str(raised.value)
    assert "77" not in said
    query = said[said.index("SELECT ") : said.index(", and leave out")].replace("the table", "{t}")
    assert [row["k"] for row in spark.sql(query, t=other).collect()] == [77]


def test_a_column_that_nobody_asks_for_is_not_read(spark: SparkSession, tmp_path: Any) -> None:
    spark.range(3).selectExpr("id AS k", "id AS x", "'wide' AS unused", "timestamp'2026-01-01' AS t").write.parquet(
        f"{tmp_path}/rows"
    )
    rows = spark.read.parquet(f"{tmp_path}/rows")
    features = spark.createDataFrame(
        [(1, datetime(2025, 1, 1, tzinfo=timezone.utc), 5)], "k BIGINT, t TIMESTAMP, income INT"
    )
    plan = joined(rows, features, keys="k", as_of="t").select("x", "income")
    assert "unused" not in plan._jdf.queryExecution().executedPlan().toString()
