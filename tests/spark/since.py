"""What Spark 3.5 lacks of what tests ask for: each such test is skipped there, and there alone."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, functions, types

HAS_IDENTITY_COLUMNS = hasattr(DataFrame, "toArrow")
"""Whether SQL knows `GENERATED ALWAYS AS IDENTITY`, which came with Spark 4.0, as `toArrow` did."""
IDENTITY = ", w BIGINT GENERATED ALWAYS AS IDENTITY" if HAS_IDENTITY_COLUMNS else ""

HAS_VARIANTS = hasattr(types, "VariantType")
HAS_INTERVALS = hasattr(types, "CalendarIntervalType")
"""Whether PySpark can show the schema of a frame with a calendar interval."""

identity_columns = pytest.mark.skipif(not HAS_IDENTITY_COLUMNS, reason="no identity columns in SQL before Spark 4.0")
arrow_udfs = pytest.mark.skipif(not hasattr(functions, "arrow_udf"), reason="no UDFs on Arrow arrays before Spark 4.1")
