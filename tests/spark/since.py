"""What Spark 3.5 lacks of what tests ask for: each such test is skipped there, and there alone."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, functions, types

HAS_GENERATED_COLUMNS = hasattr(DataFrame, "toArrow")
"""Whether SQL makes Delta tables by path with identity and generated columns: since Spark 4.0, as `toArrow`."""
HAS_VARIANTS = hasattr(types, "VariantType")
HAS_INTERVALS = hasattr(types, "CalendarIntervalType")
"""Whether PySpark can show the schema of a frame with a calendar interval."""

generated_columns = pytest.mark.skipif(
    not HAS_GENERATED_COLUMNS, reason="no identity and generated columns in SQL before Spark 4.0"
)
arrow_udfs = pytest.mark.skipif(not hasattr(functions, "arrow_udf"), reason="no UDFs on Arrow arrays before Spark 4.1")
