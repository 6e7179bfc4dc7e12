"""Scoring with equal rows predicted once: the same outputs, by fewer rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.contract import bind
from spark_infer.core.deduplication import RUN_BATCHES, Deduplication
from spark_infer.core.outputs import Predictions
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats

TABLE = pa.schema([("id", pa.int64()), ("a", pa.float64()), ("t", pa.string())])
SIGNATURE = Signature(inputs=(Column(name="a", type=pa.float64()), Column(name="t", type=pa.string())))
OUTPUTS = pa.schema([("bits", pa.int64()), ("text", pa.list_(pa.string()))])
VALUES = st.tuples(
    st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), None]), st.sampled_from(["", "a", "b", None])
)


class Spelling:
    """Answers for a row by all its bits; takes a tick of the clock for each row."""

    def __init__(self, *, by_row: bool = True) -> None:
        self.by_row = by_row
        self.now = 0.0
        self.sizes: list[int] = []

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        self.sizes.append(inputs.num_rows)
        self.now += inputs.num_rows
        bits = inputs.column("a").to_numpy(zero_copy_only=False).view(np.int64)
        return {"bits": bits, "text": [[text] for text in inputs.column("t").to_pylist()]}

    def clock(self) -> float:
        self.now += 0.1
        return self.now

    def close(self) -> None:
        pass


def steps(deduplicate: str, batch_size: int) -> ScoringSteps:
    return ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, SIGNATURE),
        raw_outputs=OUTPUTS,
        outputs=OUTPUTS,
        preprocess=None,
        postprocess=lambda batch: batch,
        batch_size=batch_size,
        max_batch_bytes=10**9,
        deduplicate=deduplicate,
    )


def scored(rows: list[Any], model: Spelling, deduplicate: str, *, batch_size: int = 3) -> tuple[list[Any], Stats]:
    arrays = [pa.array(range(len(rows))), *(pa.array([row[at] for row in rows], TABLE.types[at + 1]) for at in (0, 1))]
    table = pa.RecordBatch.from_arrays(arrays, schema=TABLE)
    stats = Stats(clock=model.clock)
    batches = list(score_batches(iter([table]), lambda: model, steps(deduplicate, batch_size), stats))
    assert all(each.rows.num_rows == each.outputs.num_rows <= batch_size for each in batches)
    assert [number for each in batches for number in each.rows.column("id").to_pylist()] == [*range(len(rows))]
    assert all(size <= batch_size for size in model.sizes)
    return [row for each in batches for row in each.outputs.to_pylist()], stats


@given(st.lists(VALUES, max_size=60), st.integers(1, 7), st.sampled_from(["auto", "always"]))
def test_the_outputs_are_those_of_predicting_every_row(rows: list[Any], batch_size: int, wish: str) -> None:
    every, one_by_one = scored(rows, Spelling(), "never", batch_size=batch_size)
    found, stats = scored(rows, Spelling(), wish, batch_size=batch_size)
    assert found == every
    assert (one_by_one.rows, one_by_one.predicted) == (len(rows), len(rows))
    assert stats.rows == len(rows)
    assert stats.predicted <= len(rows)


def test_equal_rows_of_a_run_of_batches_are_predicted_once() -> None:
    rows = [(float(number % 4), "a") for number in range(3 * RUN_BATCHES)]
    model = Spelling()
    _, stats = scored(rows * 2, model, "always")
    assert model.sizes == [3, 1]  # a second run knows them
    assert (stats.rows, stats.predicted, stats.batches) == (6 * RUN_BATCHES, 4, 2)


def test_auto_stops_looking_where_rows_do_not_repeat() -> None:
    rows = [(float(number), "a") for number in range(3 * RUN_BATCHES)] + [(1.0, "a")] * 3 * RUN_BATCHES
    _, stats = scored(rows, Spelling(), "auto")
    assert stats.predicted == len(rows)


def test_auto_goes_on_as_long_as_the_rows_spared_would_have_cost_more_than_the_search() -> None:
    search = Deduplication("auto", by_row=True)
    search.measure(rows=100, predicted=50, grouping=1.0, predict=1.1)  # 50 rows spared of 0.022 seconds each
    assert search.active
    search.measure(rows=100, predicted=50, grouping=1.0, predict=0.9)
    assert not search.active
    always = Deduplication("always", by_row=True)
    always.measure(rows=100, predicted=100, grouping=1.0, predict=0.0)
    assert always.active


@pytest.mark.parametrize(("wish", "predicted"), [("auto", 12), ("always", 1), ("never", 12)])
def test_a_model_that_may_look_at_its_whole_batch_gets_it_unless_the_user_says_otherwise(
    wish: str, predicted: int
) -> None:
    assert scored([(1.0, "a")] * 12, Spelling(by_row=False), wish)[1].predicted == predicted


def test_rows_that_cannot_be_compared_are_all_predicted() -> None:
    schema = pa.schema([("a", pa.map_(pa.string(), pa.float64()))])
    batch = pa.RecordBatch.from_pydict({"a": [[("x", 1.0)]] * 5}, schema=schema)
    signature = Signature(inputs=(Column(name="a", type=schema.types[0]),))

    class Counting(Spelling):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            self.sizes.append(inputs.num_rows)
            return {None: np.zeros(inputs.num_rows)}

    one = pa.schema([("prediction", pa.float64())])
    odd = ScoringSteps(
        label="m version 1",
        binding=bind(schema, signature),
        raw_outputs=one,
        outputs=one,
        preprocess=None,
        postprocess=lambda each: each,
        batch_size=2,
        max_batch_bytes=10**9,
        deduplicate="always",
    )
    model = Counting()
    assert len(list(score_batches(iter([batch]), lambda: model, odd, Stats()))) == 3
    assert model.sizes == [2, 2, 1]
