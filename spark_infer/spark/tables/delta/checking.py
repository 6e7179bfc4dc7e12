"""Whether a session can read Delta tables."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spark_infer.errors import EnvironmentProblem
from spark_infer.spark.analysis import condition, sentence_of
from spark_infer.spark.session_settings import setting
from spark_infer.tables.delta import delta_conf

_PROBE = "DESCRIBE DETAIL delta.`/spark-infer-asks-whether-this-session-speaks-delta`"


def check_delta(spark: SparkSession) -> None:
    """Refuse a session that cannot read Delta tables, and say which setting is missing.

    Raises:
        EnvironmentProblem: Delta's jar, its SQL extension or its catalog is not in this session.
    """
    try:
        spark.sql(_PROBE).collect()
    except Exception as error:
        found = condition(error)
        if found.startswith(("DELTA_MISSING", "DELTA_TABLE_NOT_FOUND", "DELTA_PATH", "PATH_NOT_FOUND")):
            return
        needed = delta_conf()
        missing = [
            f"{name}={value}"
            for name, value in needed.items()
            if value not in setting(spark, name).split(",") and name != "spark.jars.packages"
        ]
        jar = f"spark.jars.packages={needed['spark.jars.packages']} (the jar, when the session starts)"
        raise EnvironmentProblem(
            "This Spark session cannot read Delta tables.",
            details=["A session needs, from its start:", *(missing or [sentence_of(error)]), jar],
            next_step="start the session with these settings, which `spark_infer.delta_conf()` returns; "
            "or use spark-submit with --packages.",
        ) from error
