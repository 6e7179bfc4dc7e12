"""`batch_size: auto` doubles on the rows that are scored, and stays with the smallest size that is fast enough."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_infer.core.batch_search import MOST_ROWS, BatchSearch
from spark_infer.core.contract import bind
from spark_infer.core.outputs import Predictions
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats, TaskTotals

TABLE = pa.schema([("x", pa.float64())])


class Levelling:
    """Takes 10 ms for up to 512 rows at once, and in proportion from there on: 51,200 rows a second."""

    by_row = True

    def __init__(self, room: int = 10**9) -> None:
        self.now, self.room, self.calls = 0.0, room, list[int]()

    def clock(self) -> float:
        return self.now

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        rows = inputs.num_rows
        self.calls.append(rows)
        self.now += max(0.01, rows / 51_200)
        if rows > self.room:
            raise MemoryError
        return {"x": inputs.column("x").to_numpy() * 2}

    def close(self) -> None:
        pass


def scored(model: Any, rows: int, search: BatchSearch, deduplicate: str = "never") -> Stats:
    def arriving() -> Iterator[pa.RecordBatch]:
        for start in range(0, rows, 1_000):
            yield pa.record_batch([np.arange(start, min(start + 1_000, rows), dtype=float)], schema=TABLE)

    stats = Stats(clock=model.clock)
    steps = ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, Signature(inputs=(Column(name="x", type=pa.float64()),))),
        raw_outputs=TABLE,
        outputs=TABLE,
        preprocess=None,
        postprocess=lambda batch: batch,
        max_batch_bytes=10**9,
        batch_size=None,
        search=search,
        deduplicate=deduplicate,
    )
    found = [value for each in score_batches(arriving(), lambda: model, steps, stats) for value in each.outputs["x"]]
    assert [value.as_py() for value in found] == [2.0 * row for row in range(rows)]
    return stats


def test_the_smallest_size_within_5_percent_of_the_fastest_is_kept() -> None:
    model, search = Levelling(), BatchSearch()
    stats = scored(model, 20_000, search)
    measured = [rows for size in (64, 128, 256, 512, 1_024, 2_048) for rows in [size] * 3]
    assert model.calls[:19] == [64, *measured]  # the first call is not counted
    assert set(model.calls[19:-1]) == {512}
    assert stats.batch_choices == {
        "512 rows: the smallest within 5% of the fastest, which was 512 of 64 to 2,048": 1,
    }
    assert scored(model, 1_000, search).batch_choices == {}  # it is found once in a process
    both = TaskTotals.of_tasks([stats.take(), {"batches": 1, "batch_choices": '{"64 rows: so": 2}'}])
    assert [*both.batch_choices.values()] == [2, 1]


def test_equal_rows_are_measured_as_they_are_predicted() -> None:
    model, search = Levelling(), BatchSearch()
    scored(model, 20_000, search, deduplicate="always")
    assert search.rows == 512


def test_memory_ends_the_search_with_what_there_is_room_for() -> None:
    model, search = Levelling(room=200), BatchSearch()
    stats = scored(model, 3_000, search)
    assert model.calls[:11] == [64, 64, 64, 64, 128, 128, 128, 256, 128, 128, 128]
    assert set(model.calls[8:-1]) == {128}
    assert stats.batch_choices == {"128 rows: there is no memory for twice as many": 1}


def test_a_ceiling_that_is_known_from_before_needs_no_search() -> None:
    search = BatchSearch()
    search.note(64, 1.0, ceiling=31)
    assert (search.rows, search.found) == (31, "31 rows: there is no memory for twice as many")


@pytest.mark.parametrize(("overhead_seconds", "row_seconds", "kept"), [(10.0, 0.0, MOST_ROWS), (0.0, 0.001, 64)])
def test_the_search_ends_at_the_most_rows_or_where_more_rows_gain_nothing(
    overhead_seconds: float, row_seconds: float, kept: int
) -> None:
    search = BatchSearch()
    while not search.found:
        search.note(search.rows // 2, 0.001, ceiling=None)  # a batch that is not full is not counted
        search.note(search.rows, overhead_seconds + search.rows * row_seconds, ceiling=None)
    assert search.rows == kept


def test_a_model_that_chooses_its_batches_itself_is_not_measured() -> None:
    class OneRow(Levelling):
        batch_rows = 1

    model, search = OneRow(), BatchSearch()
    assert scored(model, 200, search).batch_choices == {}
    assert set(model.calls) == {1}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 4_000), st.sampled_from(["never", "auto", "always"]), st.sampled_from([10, 70, 10**9]))
def test_rows_keep_their_order_and_answers_while_the_size_is_searched(rows: int, deduplicate: str, room: int) -> None:
    search = BatchSearch()
    stats = scored(Levelling(room), rows, search, deduplicate)  # compares each row
    assert (stats.rows, stats.predicted) == (rows, rows)
