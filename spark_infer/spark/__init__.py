"""The only package that imports PySpark: doors, schemas, shipping of model files, tables through a session."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The types, for signatures elsewhere.
    from pyspark.sql import DataFrame as DataFrame
    from pyspark.sql import SparkSession as SparkSession
    from pyspark.sql.streaming.query import StreamingQuery as StreamingQuery
