"""What older versions of Spark and Delta lack of what tests ask for: such a test is skipped there, and there alone."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from pyspark.sql import functions, types

HAS_GENERATED_COLUMNS = tuple(map(int, version("delta-spark").split(".")[:2])) >= (4, 4)
"""Whether SQL makes Delta tables with identity and generated columns."""
HAS_VARIANTS = hasattr(types, "VariantType")
HAS_INTERVALS = hasattr(types, "CalendarIntervalType")
"""Whether PySpark can show the schema of a frame with a calendar interval."""

generated_columns = pytest.mark.skipif(
    not HAS_GENERATED_COLUMNS, reason="no identity and generated columns in SQL before Delta 4.4"
)
every_type = pytest.mark.skipif(
    tuple(map(int, version("pyspark").split(".")[:2])) < (4, 2),
    reason="no Parquet tables with all of these types before Spark 4.2",
)
arrow_udfs = pytest.mark.skipif(not hasattr(functions, "arrow_udf"), reason="no UDFs on Arrow arrays before Spark 4.1")
