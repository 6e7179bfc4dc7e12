"""How many rows a run has at least, by `min_rows` and `fail_on_empty`; and what to know of one without."""

from __future__ import annotations

from spark_infer.config import JobConfig
from spark_infer.config.partition_values import partitions_named
from spark_infer.errors import SourceError, TooFewRowsError


def check_planned_rows(config: JobConfig, rows: int | None) -> tuple[str, ...]:
    """Check the rows that a source has, where that is known before they are read; returns warnings, a sentence each.

    Raises:
        SourceError: They are too few.
    """
    if rows is not None and rows < config.least_rows:
        raise SourceError(
            f"The source has {rows:,} rows to score, and the job asks for {config.least_rows:,} at least.",
            details=config.hide(_selection(config)),
            next_step="see whether the rows have arrived; or lower `min_rows`, or take `fail_on_empty` out.",
        )
    return config.hide(empty_warnings(config)) if rows == 0 else ()


def empty_warnings(config: JobConfig) -> tuple[str, ...]:
    """Say that there is no row to score, and what selects none."""
    return ("; ".join(("no row of the source is scored", *_selection(config))),)


def too_few(rows: int, least_rows: int) -> TooFewRowsError:
    """The error of a run that found too few rows, none of which was published."""
    return TooFewRowsError(
        f"There were {rows:,} rows to score, and the job asks for {least_rows:,} at least: nothing was published.",
        details=["the run is given up, and the same command begins again"],
        next_step="see whether the rows have arrived; or lower `min_rows`, or take `fail_on_empty` out.",
    )


def _selection(config: JobConfig) -> tuple[str, ...]:
    where = config.source.where
    filters = partitions_named(config.source.partition_filter)
    return (*filters, *(() if where is None else (f"where {where}",)))
