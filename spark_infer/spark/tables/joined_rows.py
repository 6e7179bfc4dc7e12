"""The rows of a source with the columns of its feature tables, lazy."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from spark_infer.config import SourceConfig
from spark_infer.config.features import FeaturesConfig
from spark_infer.spark.schema import to_arrow
from spark_infer.spark.tables.frames import read
from spark_infer.spark.tables.join_features import with_features
from spark_infer.spark.tables.spark_tables import SparkTables
from spark_infer.spark.tables.stored.asked_rows import refuse_unstorable
from spark_infer.tables.feature_join import plan_join
from spark_infer.tables.source import open_snapshot


def joined_rows(spark: SparkSession, source: SourceConfig) -> DataFrame:
    """Return the rows of a source that `where` leaves, each once, with its features.

    Feature tables are read at the version that is theirs now. Nothing runs yet.

    Args:
        spark: The session.
        source: What to read, with features.

    Raises:
        SourceError: A table is missing, or columns do not fit.
    """
    rows = _rows(spark, source.without_features())
    for each in source.features:
        features = _rows(spark, _as_source(each))
        rows = with_features(rows, features, plan_join(each, to_arrow(rows.schema), to_arrow(features.schema)))
    refuse_unstorable(spark, source, rows)
    return rows


def _rows(spark: SparkSession, source: SourceConfig) -> DataFrame:
    return read(spark, open_snapshot(SparkTables(spark), source), source)


def _as_source(features: FeaturesConfig) -> SourceConfig:
    return SourceConfig.model_validate(features.model_dump(exclude={"keys", "as_of", "columns"}))
