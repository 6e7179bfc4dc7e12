"""Columns that say which model scored a row, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType, TimestampType

from spark_infer.errors import SchemaMismatchError


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
        columns[at[0]] = F.timestamp_micros(F.lit(int(at[1].timestamp() * 1_000_000)))
    if not columns:
        return frame
    _refuse_clashes(frame.columns, [*texts, *([at[0]] if at else [])])
    return frame.withColumns(columns)


def stamped_schema(schema: StructType, texts: Iterable[str], *, at: str | None) -> StructType:
    """Return the columns of a scored frame with those that `stamped` adds.

    Raises:
        SchemaMismatchError: A column of that name is there already.
    """
    _refuse_clashes(schema.names, [*texts, *([at] if at else [])])
    added = [StructField(name, StringType(), False) for name in texts]
    added += [StructField(at, TimestampType(), False)] if at else []
    return StructType([*schema.fields, *added])


def _refuse_clashes(columns: Iterable[str], names: Sequence[str]) -> None:
    taken = {name.casefold() for name in columns}
    clashes = [name for name in names if name.casefold() in taken]
    if clashes or len({name.casefold() for name in names}) < len(names):
        raise SchemaMismatchError(
            "The columns for the model's name, its version and the time clash with the scored table's.",
            problems=[f"column {name!r} is there already" for name in clashes or names],
            next_step="rename them with model_name_column, model_version_column and scored_at_column (of `target` in a "
            "job file), or set them to null.",
        )
