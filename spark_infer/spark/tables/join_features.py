"""Join the columns of feature tables to the rows of a source, by Spark; every row stays, and stays one."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_infer.spark.metering import free_name
from spark_infer.tables.feature_join import FeatureJoin
from spark_infer.tables.predicate import quote_name


def with_features(rows: DataFrame, features: DataFrame, join: FeatureJoin) -> DataFrame:
    """Return the rows with the columns of the feature row that belongs to each; nulls where there is none.

    Nothing runs yet. With a time, both tables are shuffled by the keys and sorted once; without one, Spark may send a
    small feature table to all tasks instead. A key that the feature table has twice fails the action that reads the
    rows, with a `SourceReadError`.

    Args:
        rows: The rows to score.
        features: The feature table.
        join: Which columns belong together.
    """
    own = [*rows.columns, *join.columns.values()]
    found = free_name(own, "spark_infer_features")
    keys = [free_name([*own, found], f"spark_infer_key_{at}") for at in range(len(join.keys))]
    packed = F.struct(*(_column(name).alias(new) for name, new in join.columns.items())).alias(found)
    known = features.where(" AND ".join(f"{quote_name(name)} IS NOT NULL" for name in _feature_names(join)))
    joined = _looked_up if join.time is None else _as_of
    matched = joined(rows, known, join, packed, keys, found)
    kept = [_column(name) for name in rows.columns]
    return matched.select(*kept, *(F.col(found)[new].alias(new) for new in join.columns.values()))


def _looked_up(
    rows: DataFrame, features: DataFrame, join: FeatureJoin, packed: Column, keys: Sequence[str], found: str
) -> DataFrame:
    """Join the one row of each key."""
    named = features.select(
        *(_column(name).alias(key) for name, key in zip(join.keys.values(), keys, strict=True)), packed
    )
    count = free_name([*keys, found], "spark_infer_count")
    once = named.groupBy(*keys).agg(F.any_value(found).alias(found), F.count("*").alias(count))
    once = once.where(_unless(F.col(count) > 1, F.lit(True), join)).drop(count)
    same = [rows[quote_name(name)] == once[key] for name, key in zip(join.keys, keys, strict=True)]
    return rows.join(once, same, "left")


def _as_of(
    rows: DataFrame, features: DataFrame, join: FeatureJoin, packed: Column, keys: Sequence[str], found: str
) -> DataFrame:
    """Sort both tables' rows of a key by time, and give each row of the source the last feature row before it."""
    assert join.time is not None
    ours, theirs = join.time
    taken = [*rows.columns, *keys, found]
    time, is_row, spread, twice, last = (
        free_name(taken, f"spark_infer_{name}") for name in ("time", "is_row", "spread", "twice", "last")
    )
    pairs = list(zip(join.keys.items(), keys, strict=True))
    kind = features.select(packed).schema[0].dataType
    mine = rows.select(
        *map(_column, rows.columns),
        *(_column(name).alias(key) for (name, _), key in pairs),
        _column(ours).alias(time),
        F.lit(None).cast(kind).alias(found),
        F.lit(True).alias(is_row),
    )
    other = features.select(
        *(F.lit(None).cast(field.dataType).alias(field.name) for field in rows.schema),
        *(_column(name).alias(key) for (_, name), key in pairs),
        _column(theirs).alias(time),
        packed,
        F.lit(False).alias(is_row),
    )
    # Rows with a null for a key match nothing: spread by their times, they are not all one task's.
    lacks_key = F.lit(False)
    for key in keys:
        lacks_key = lacks_key | F.col(key).isNull()
    both = mine.union(other).withColumn(spread, F.when(lacks_key, F.xxhash64(time)))
    sorted_by_time = Window.partitionBy(*keys, spread).orderBy(time, is_row)
    before = (F.lag(is_row).over(sorted_by_time), F.lag(time).over(sorted_by_time))
    until_now = sorted_by_time.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    matched = both.withColumns(
        {
            twice: ~F.col(is_row) & ~before[0] & before[1].eqNullSafe(F.col(time)),
            last: F.last(found, ignorenulls=True).over(until_now),
        }
    )
    once = matched.where(_unless(F.coalesce(twice, F.lit(False)), F.col(is_row), join))
    return once.drop(found).withColumnRenamed(last, found)


def _unless(wrong: Column, keeps: Column, join: FeatureJoin) -> Column:
    """A condition that fails the job where a key occurs twice."""
    return F.when(wrong, F.raise_error(F.lit(_doubled_key(join))).cast("boolean")).otherwise(keeps)


def _doubled_key(join: FeatureJoin) -> str:
    # In the words that `exceptions` turns into the error itself. The keys are values of rows: a query shows them.
    names = ", ".join(map(quote_name, _feature_names(join)))
    return (
        f"spark_infer.errors.SourceReadError: A key occurs more than once in the features of {join.name}, so that it "
        "is not known which row is meant.\n"
        f"  keys: {', '.join(_feature_names(join))}\n"
        f"Next: find it with SELECT {names}, count(*) FROM the table GROUP BY ALL HAVING count(*) > 1, and leave out "
        "the rows that do not count with `where`."
    )


def _feature_names(join: FeatureJoin) -> list[str]:
    return [*join.keys.values(), *(join.time or ())[1:]]


def _column(name: str) -> Column:
    return F.col(quote_name(name))
