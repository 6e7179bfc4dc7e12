"""Columns that say which model scored a row, and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_infer.models.stamps import refuse_clashes


def stamped(frame: DataFrame, texts: Mapping[str, str], *, at: tuple[str, datetime] | None = None) -> DataFrame:
    """Add constant columns to a scored frame.

    Args:
        frame: The scored frame.
        texts: Column to its text in every row.
        at: Column for the time, and the time.

    Raises:
        SchemaMismatchError: A column of that name is there already.
    """
    columns = {name: F.lit(text) for name, text in texts.items()}
    if at is not None:
        columns[at[0]] = time_literal(at[1])
    if not columns:
        return frame
    refuse_clashes(frame.columns, [*texts, *([at[0]] if at else [])])
    return frame.withColumns(columns)


def time_literal(at: datetime) -> Column:
    """Return a time as a column, to the microsecond."""
    return F.timestamp_micros(F.lit(int(at.timestamp() * 1_000_000)))
