"""How many bytes Spark puts into a batch for Python, and what it costs to find out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from spark_infer.spark.session_settings import value_in_force

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"
_BYTES = "spark.sql.execution.arrow.maxBytesPerBatch"
_NO_CHECK = 2**31 - 1


def batch_settings(spark: SparkSession, columns: Iterable[pa.Field]) -> dict[str, str]:
    """Return the settings that spare Spark's check of a batch's bytes, where it could never find too many.

    Spark 4.1 and later add up the bytes of a batch after each row, which takes more time than writing the row. Where
    all columns have a fixed width, the limit of rows bounds the bytes already: then nothing changes but the time.

    Args:
        spark: The session.
        columns: The columns that travel to Python.
    """
    try:
        most_rows = int(value_in_force(spark, _ROWS) or 0)
        # Spark 4.0 has no limit of bytes.
        most_bytes = int((value_in_force(spark, _BYTES) or "0").removesuffix("b"))
    except ValueError:  # a size such as 64m, which a user wrote
        return {}
    width = row_bytes(columns)
    if width is None or most_rows <= 0 or not most_rows * width <= most_bytes < _NO_CHECK:
        return {}
    return {_BYTES: str(_NO_CHECK)}


def row_bytes(columns: Iterable[pa.Field]) -> int | None:
    """Bytes of a row in a batch, with a byte for whether each value is there; None where they depend on the values."""
    total = 0
    for column in columns:
        try:
            total += -(-column.type.bit_width // 8) + 1
        except ValueError:
            return None
    return total
