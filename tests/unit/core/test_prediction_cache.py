"""Scoring with a prediction cache: the outputs of predicting every row, by calls for those alone that are not in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.bad_rows import BadRowLimits
from spark_infer.core.contract import bind
from spark_infer.core.duplicates import Digests
from spark_infer.core.outputs import Predictions
from spark_infer.core.prediction_cache import PredictionCache
from spark_infer.core.scoring import score_batch, score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats

TABLE = pa.schema([("a", pa.int64())])
OUTPUTS = pa.schema([("halves", pa.list_(pa.float32()))])
BAD = 13


class Halving:
    """Answers by the row alone; fails for a batch with 13 in it."""

    by_row = True

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        values = inputs.column("a").to_pylist()
        if BAD in values:
            raise ValueError("13 is in the batch")
        self.asked += values
        return {"halves": [[value / 2, np.nan] for value in values]}

    def close(self) -> None:
        pass


class Kept:
    """A cache in memory."""

    def __init__(self) -> None:
        self.digests: list[tuple[int, ...]] = []
        self.answers = pa.RecordBatch.from_pylist([], schema=OUTPUTS)

    def find(self, digests: Digests) -> tuple[Any, pa.RecordBatch]:
        places = [self.digests.index(each) if each in self.digests else -1 for each in map(tuple, digests.tolist())]
        known = np.array(places, np.int64) >= 0
        return known, self.answers.take(pa.array(np.array(places, np.int64)[known]))

    def keep(self, digests: Digests, answers: pa.RecordBatch) -> None:
        self.digests += map(tuple, digests.tolist())
        self.answers = pa.concat_batches([self.answers, answers])


def steps_with(kept: Kept, stats: Stats, *, deduplicate: str = "never", batch_size: int = 4) -> ScoringSteps:
    return ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, Signature(inputs=(Column(name="a", type=pa.int64()),))),
        raw_outputs=OUTPUTS,
        outputs=OUTPUTS,
        preprocess=None,
        postprocess=lambda batch: batch,
        batch_size=batch_size,
        max_batch_bytes=10**9,
        deduplicate=deduplicate,
        bad_rows=BadRowLimits(),
        cache=PredictionCache(kept.find, kept.keep, stats),
    )


def run(
    rows: list[int], kept: Kept, *, deduplicate: str = "never", batch_size: int = 4
) -> tuple[list[Any], list[int], Stats]:
    """Score rows; returns the outputs, the rows that the model was asked for without failing, and the counts."""
    stats, model = Stats(), Halving()
    steps = steps_with(kept, stats, deduplicate=deduplicate, batch_size=batch_size)
    table = pa.RecordBatch.from_pydict({"a": pa.array(rows, pa.int64())})
    scored = list(score_batches(iter([table]), lambda: model, steps, stats))
    return [row["halves"] for each in scored for row in each.outputs.to_pylist()], model.asked, stats


def halves(rows: list[int]) -> str:
    """The outputs as text, in which NaN equals NaN."""
    return repr([None if value == BAD else [value / 2, np.nan] for value in rows])


@given(
    st.lists(st.integers(0, 15), max_size=40),
    st.lists(st.integers(0, 15), max_size=40),
    st.sampled_from(["never", "auto", "always"]),
    st.integers(1, 9),
)
def test_the_outputs_are_those_of_predicting_every_row(
    first: list[int], second: list[int], wish: str, batch_size: int
) -> None:
    kept = Kept()
    outputs, _, _ = run(first, kept, deduplicate=wish, batch_size=batch_size)
    assert repr(outputs) == halves(first)
    good = {*first} - {BAD}
    assert {row["halves"][0] * 2 for row in kept.answers.to_pylist()} == good
    outputs, asked, _ = run(second, kept, deduplicate=wish, batch_size=batch_size)
    assert repr(outputs) == halves(second)
    assert not good & {*asked}


def test_what_is_found_is_not_predicted_and_what_is_new_is_kept_once() -> None:
    kept = Kept()
    _, asked, stats = run([1, 2, 2, 3, 1], kept)
    assert (stats.prediction_cache_hits, stats.prediction_cache_misses, stats.rows) == (1, 4, 5)
    assert asked == [1, 2, 2, 3]  # the second batch finds its 1
    assert len(kept.digests) == 3
    _, asked, stats = run([3, 4, 1], kept)
    assert (asked, stats.predicted) == ([4], 1)
    assert (stats.prediction_cache_hits, stats.prediction_cache_misses, stats.rows) == (2, 1, 3)


def test_equal_rows_that_are_looked_for_count_once() -> None:
    kept = Kept()
    _, asked, stats = run([1, 2, 2, 3, 1], kept, deduplicate="always")
    assert (asked, stats.prediction_cache_misses, len(kept.digests)) == ([1, 2, 3], 3, 3)


@pytest.mark.parametrize("wish", ["never", "always"])
def test_a_row_that_fails_is_not_kept_and_the_rows_around_it_are_kept_once(wish: str) -> None:
    kept = Kept()
    rows = [*range(8), BAD, *range(8, 12)]
    outputs, _, stats = run(rows, kept, deduplicate=wish, batch_size=20)
    assert repr(outputs) == halves(rows)
    assert len(kept.digests) == len({*kept.digests}) == 12
    assert (stats.bad_rows, stats.prediction_cache_misses) == (1, 13)
    outputs, asked, stats = run(rows, kept, deduplicate=wish, batch_size=20)
    assert repr(outputs) == halves(rows)
    assert (asked, stats.prediction_cache_hits, stats.bad_rows) == ([], 13, 1)


def test_how_wide_outputs_are_is_learned_from_those_that_are_found_too() -> None:
    kept, stats, seen = Kept(), Stats(), list[int]()
    run([1, 2, 3], kept)
    steps = replace(steps_with(kept, stats), seen=lambda outputs: seen.append(outputs.num_rows))
    score_batch(pa.RecordBatch.from_pydict({"a": pa.array([3, 1], pa.int64())}), Halving(), steps, stats)
    assert (seen, stats.predicted) == ([2], 0)
