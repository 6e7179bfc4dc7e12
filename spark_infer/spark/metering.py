"""What scoring cost, brought from the tasks to the driver inside the rows' own stream."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from spark_infer.core.stats import COUNTS, SECONDS, TaskTotals
from spark_infer.tables.predicate import quote_name

logger = logging.getLogger(__name__)

STATS_COLUMN = "_spark_infer_stats"

Totals = Callable[[], TaskTotals | None]
"""Reads the sums after the action; None where Spark kept none. After an action that failed it waits for ever."""


def free_name(taken: Iterable[str], wanted: str = STATS_COLUMN) -> str:
    """Return a name for a column of our own that no other column has."""
    folded = {name.casefold() for name in taken}
    name = wanted
    while name in folded:
        name += "_"
    return name


def metered(frame: DataFrame, stats_column: str) -> tuple[DataFrame, Totals]:
    """Sum up the stats column of a scored frame while its rows pass, and drop it.

    Works on Spark Connect too, where accumulators do not.

    Args:
        frame: The scored frame.
        stats_column: Name of the column of `core.stats.STATS_TYPE`.

    Returns:
        The frame without its stats column, and the reader of the sums. One frame serves one action.
    """
    observation = Observation(f"spark_infer_{uuid.uuid4().hex}")
    observed = frame.observe(observation, *_metrics(quote_name(stats_column)))
    return observed.drop(stats_column), lambda: _totals(observation)


def _metrics(stats: str) -> list[Column]:
    sums = [F.sum(f"{stats}.{name}").alias(name) for name in (*COUNTS, *SECONDS)]
    return [*sums, F.approx_count_distinct(f"{stats}.worker").alias("workers")]


def _totals(observation: Observation) -> TaskTotals | None:
    try:
        found = observation.get
    except Exception as error:
        # CREATE TABLE AS runs in a query of its own, whose metrics Spark does not hand on. The rows are committed by
        # now: what scoring them cost is not worth a failure.
        logger.debug("no metrics: %s", type(error).__name__)
        return None
    if not found:  # the same on Spark Connect
        return None
    return TaskTotals.of_tasks([found])
