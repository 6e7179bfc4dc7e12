"""How fast one core scores, by the size of a model batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from spark_infer.job.tune.tuning import Measured
from spark_infer.models.recipe import Recipe
from spark_infer.models.worker import score_table_batches
from spark_infer.runtime.assignment import Assignment

SIZES = (1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000)
_ROUNDS = 3


def batch_sizes(
    recipe: Recipe, rows: pa.Table, folder: Path, *, today: int, clock: Callable[[], float] = time.perf_counter
) -> list[Measured]:
    """Score rows in this process with each size in turn, some rounds of all.

    Args:
        recipe: How to score.
        rows: The columns that the recipe reads.
        folder: The model's files.
        today: The size that the job has.
        clock: Seconds that only grow.

    Returns:
        That size, then the others from small to large, up to that of the whole sample.
    """
    sizes = [today, *(size for size in SIZES if size != today and size <= max(rows.num_rows, SIZES[0]))]
    _seconds(recipe, rows, folder, today, clock)  # loads the model, and warms up what it uses
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(_ROUNDS):
        for size in sizes if number % 2 == 0 else reversed(sizes):
            rates[size].append(rows.num_rows / _seconds(recipe, rows, folder, size, clock))
    return [Measured(setting="score.batch_size", value=str(size), rows_per_second=tuple(rates[size])) for size in sizes]


def _seconds(recipe: Recipe, rows: pa.Table, folder: Path, size: int, clock: Callable[[], float]) -> float:
    options = recipe.options.model_copy(update={"batch_size": size})
    sized = replace(recipe, options=options)
    batches: Sequence[pa.RecordBatch] = rows.to_batches(max_chunksize=size)
    start = clock()
    for _ in score_table_batches(sized, lambda: folder, batches, Assignment(cpus=recipe.load.threads)):
        pass
    return max(clock() - start, 1e-9)
