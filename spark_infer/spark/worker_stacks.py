"""Have Python workers write where they stand when they crash or are stopped, so that the error can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from spark_infer.spark.session_settings import set_value

_SETTING = "spark.sql.execution.pyspark.udf.faulthandler.enabled"


@contextmanager
def worker_stacks(spark: SparkSession) -> Iterator[None]:
    """Turn Python's fault handler on in the workers while the block runs, unless the session says otherwise.

    Runs in other threads may end before or after: the worst that comes of it is an error without a stack.
    """
    if set_value(spark, _SETTING) is not None:
        yield
        return
    try:
        spark.conf.set(_SETTING, "true")
    except Exception:  # a managed platform may not allow it, and does without
        yield
        return
    try:
        yield
    finally:
        spark.conf.unset(_SETTING)
