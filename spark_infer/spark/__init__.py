"""The only package that imports PySpark: doors, schemas, shipping of model files, tables through a session."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession as SparkSession  # the type, for signatures elsewhere
