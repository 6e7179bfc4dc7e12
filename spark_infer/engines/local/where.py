"""Conditions that engine `local` does not take."""

from __future__ import annotations

import pyarrow as pa

from spark_infer.config import JobConfig
from spark_infer.errors import SourceError
from spark_infer.tables.snapshot import Snapshot
from spark_infer.tables.where.sql import OnlySpark, UnknownColumn, condition


def refuse_condition(config: JobConfig, snapshot: Snapshot, table: pa.Schema) -> None:
    """Refuse a `where` that does not fit the table, or that only Spark understands.

    Raises:
        SourceError: Says what does not fit.
    """
    try:
        if config.source.where is not None:
            condition(config.source.where, table)
    except UnknownColumn as error:
        raise SourceError(
            f"The condition `where` does not fit {snapshot.location.name}: {error}.",
            details=[f"where: {config.source.where}", f"columns: {', '.join(table.names)}"],
            next_step="correct the name.",
        ) from error
    except OnlySpark as error:
        raise SourceError(
            f"`where` cannot be used on {snapshot.location.name} by engine `local`: {error}.",
            details=[f"where: {config.source.where}"],
            next_step="write comparisons with literals, IN, BETWEEN and IS NULL, joined by AND, OR and NOT; or set "
            "engine: spark, which takes any SQL condition.",
        ) from error
