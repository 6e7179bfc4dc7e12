"""Jobs that are prepared on the session of the tests, and not run yet."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spark_infer.config import JobConfig
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.spark.engine import SparkEngine
from spark_infer.job.prepare import prepare_job


def prepare_on(spark: SparkSession, config: JobConfig) -> PreparedJob:
    """Prepare a job for engine `spark`."""
    return prepare_job(SparkEngine(spark, config.resources), config)
