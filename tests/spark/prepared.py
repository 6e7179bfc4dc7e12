"""Jobs that are prepared on the session of the tests, and not run yet."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spark_infer.config import JobConfig
from spark_infer.engines.prepared_job import PreparedJob
from spark_infer.engines.spark.engine import SparkEngine
from spark_infer.job.prepare import prepare_job
from spark_infer.spark.starting_session import started


def prepare_on(spark: SparkSession, config: JobConfig) -> PreparedJob:
    """Prepare a job for engine `spark`."""
    return prepare_job(SparkEngine(started(spark), config.resources), config)
