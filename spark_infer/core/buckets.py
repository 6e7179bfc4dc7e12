"""Model batches of rows of like size, such as texts of as many tokens, so that a model computes little padding.

A model that pads a batch to its longest row says so by two methods beside ``predict`` (`PreparingModel`). A window of
rows is prepared once, sorted by size, and cut by what a batch costs with its padding; the answers come back in the
order of the rows. The model sees the same rows as without, only beside others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeGuard

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.bad_row_search import rows_at
from spark_infer.core.memory_ceiling import MemoryCeiling, predict_in_pieces
from spark_infer.core.outputs import Predictions
from spark_infer.core.scoring_steps import Model
from spark_infer.core.stats import Stats

_LEAST_SHARE = 32
"""A batch ends where its padding costs more than this part of a full batch: about what another call costs."""


@dataclass(frozen=True, slots=True)
class PreparedRows:
    """Rows in the form that a model computes with, such as tokens.

    Attributes:
        inputs: One row for each row, in the same order; any columns.
        sizes: What each row takes of a model batch, at least 1: its tokens, pixels or elements.
    """

    inputs: pa.RecordBatch
    sizes: npt.NDArray[np.int64]


class PreparingModel(Model, Protocol):
    """A loaded model whose batches are as wide as their longest row.

    Attributes:
        batch_cost: The most that a model batch takes, padding included: rows times its largest size.
    """

    batch_cost: int

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        """Prepare rows, once: what does not depend on the other rows of a batch."""
        ...

    def predict_prepared(self, rows: pa.RecordBatch) -> Predictions:
        """Predict one model batch of prepared rows, padded to the longest of these; as `predict` otherwise."""
        ...


def prepares(model: Model) -> TypeGuard[PreparingModel]:
    """Whether a model prepares its rows and predicts them by size."""
    return getattr(model, "batch_cost", None) is not None


def predict_in_buckets(
    prepared: PreparedRows,
    predict: Callable[[pa.RecordBatch], pa.RecordBatch],
    *,
    batch_cost: int,
    most_rows: int | None,
    ceiling: MemoryCeiling,
    stats: Stats,
) -> pa.RecordBatch:
    """Predict rows in batches of like sizes, the longest first, and return the outputs in the order of the rows.

    Args:
        prepared: The rows.
        predict: Predicts some of them.
        batch_cost: The most that a batch takes, padding included; a row that takes more goes alone.
        most_rows: The most rows of a batch; None for any number.
        ceiling: What there is memory for, in the units of the sizes.
        stats: Takes what was computed.
    """
    order = np.argsort(-prepared.sizes, kind="stable")
    found: list[pa.RecordBatch] = []
    start = 0
    while start < len(order):
        budget = min(batch_cost, ceiling.rows or batch_cost)
        some = order[start : start + _rows_of_like_size(prepared.sizes[order[start:]], budget, most_rows)]
        widest = int(prepared.sizes[some[0]])
        found.append(_predict_some(prepared, some, predict, ceiling, stats))
        stats.tokens += int(prepared.sizes[some].sum())
        stats.computed_tokens += widest * len(some)
        start += len(some)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return pa.concat_batches(found).take(pa.array(places))


def _rows_of_like_size(sizes: npt.NDArray[np.int64], budget: int, most_rows: int | None) -> int:
    """How many of these rows, the largest first, make a batch: those that fit, unless they would be padded much."""
    widest = int(sizes[0])
    fit = max(1, budget // widest)
    padding = np.cumsum(widest - sizes[: min(fit, most_rows or fit)])
    return int(np.searchsorted(padding, budget / _LEAST_SHARE, side="right"))


def _predict_some(
    prepared: PreparedRows,
    some: npt.NDArray[np.int64],
    predict: Callable[[pa.RecordBatch], pa.RecordBatch],
    ceiling: MemoryCeiling,
    stats: Stats,
) -> pa.RecordBatch:
    widest = int(prepared.sizes[some[0]])
    with rows_at(some):
        return predict_in_pieces(prepared.inputs.take(pa.array(some)), predict, ceiling.of_size(widest), stats)
