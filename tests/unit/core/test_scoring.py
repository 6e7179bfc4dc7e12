from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.contract import bind
from spark_infer.core.outputs import Predictions
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import COUNTS, SECONDS, STATS_TYPE, Stats, TaskTotals
from spark_infer.errors import PredictError, PredictionShapeError, StepFailedError

TABLE = pa.schema([("id", pa.int64()), ("a", pa.int32())])
SIGNATURE = Signature(inputs=(Column(name="a", type=pa.float64()),))
OUTPUTS = pa.schema([("prediction", pa.float64())])


class Doubling:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        self.sizes.append(inputs.num_rows)
        return {None: inputs.column("a").to_numpy() * 2}

    def close(self) -> None:
        pass


def steps(batch_size: int | None = 4, **more: Any) -> ScoringSteps:
    given: dict[str, Any] = {"preprocess": None, "postprocess": lambda batch: batch, "outputs": OUTPUTS, **more}
    return ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, SIGNATURE),
        raw_outputs=OUTPUTS,
        batch_size=batch_size,
        max_batch_bytes=10**9,
        **given,
    )


def table(rows: int, cut: int) -> Iterator[pa.RecordBatch]:
    whole = pa.RecordBatch.from_pydict({"id": range(2**53 + 1, 2**53 + 1 + rows), "a": range(rows)}, schema=TABLE)
    for start in range(0, rows, cut):
        yield whole.slice(start, cut)


@given(st.integers(0, 40), st.integers(1, 11), st.integers(1, 11))
def test_the_result_does_not_depend_on_how_rows_were_cut(rows: int, cut: int, batch_size: int) -> None:
    model, stats = Doubling(), Stats()
    scored = list(score_batches(table(rows, cut), lambda: model, steps(batch_size), stats))
    ids = [value for each in scored for value in each.rows.column("id").to_pylist()]
    predictions = [value for each in scored for value in each.outputs.column("prediction").to_pylist()]
    assert ids == [2**53 + 1 + i for i in range(rows)]
    assert predictions == [2.0 * i for i in range(rows)]
    assert all(0 < size <= batch_size for size in model.sizes)
    assert (stats.rows, stats.batches) == (rows, len(model.sizes))


class InThrees(Doubling):
    batch_rows = 3


@pytest.mark.parametrize(
    ("model", "asked", "sizes"),
    [
        (InThrees(), None, [3, 3, 1]),
        (InThrees(), 5, [5, 2]),
        (Doubling(), None, [7]),
    ],
)
def test_a_model_gets_the_batches_that_suit_it_unless_others_are_asked_for(
    model: Doubling, asked: int | None, sizes: list[int]
) -> None:
    assert sum(scored.rows.num_rows for scored in score_batches(table(7, 2), lambda: model, steps(asked), Stats())) == 7
    assert model.sizes == sizes


def test_an_empty_partition_asks_for_no_model() -> None:
    def get_model() -> Doubling:
        raise AssertionError("the model was asked for")

    assert list(score_batches(iter([]), get_model, steps(), Stats())) == []
    empty = pa.RecordBatch.from_pylist([], schema=TABLE)
    assert list(score_batches(iter([empty]), get_model, steps(), Stats())) == []


def test_an_exception_of_the_model_names_model_and_place_but_no_value() -> None:
    class Failing(Doubling):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            raise ValueError("cannot convert 'Jane Doe'")

    with pytest.raises(PredictError, match="m version 1 raised on a batch of 3 rows") as failure:
        list(score_batches(table(3, 3), Failing, steps(), Stats()))
    assert "Jane" not in str(failure.value)
    assert "ValueError" in str(failure.value)
    assert "test_scoring.py" in str(failure.value)


def test_a_model_that_loses_a_row_is_caught() -> None:
    class Losing(Doubling):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            return {None: np.zeros(inputs.num_rows - 1)}

    with pytest.raises(PredictionShapeError, match="2 value"):
        list(score_batches(table(3, 3), Losing, steps(), Stats()))


def test_seconds_go_to_the_part_that_spent_them() -> None:
    now = iter(range(100))
    stats = Stats(clock=lambda: float(next(now)))
    list(score_batches(table(8, 4), Doubling, steps(), stats))
    # Two batches, and one more wait that finds the end; each timed block takes one tick of the clock.
    assert (stats.wait_for_rows, stats.prepare, stats.predict, stats.encode) == (3, 2, 2, 4)


def test_stats_are_handed_over_once() -> None:
    stats = Stats(rows=3, loads=1)
    column = stats.take_column(2)
    assert column.type == STATS_TYPE
    assert column[0].as_py()["rows"] == 3
    assert column[1].as_py() is None
    assert stats.take_column(1)[0].as_py()["rows"] == 0
    assert len(stats.take_column(0)) == 0


def test_a_preprocess_function_that_changes_its_types_is_caught() -> None:
    def as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({"a": ["1"] * batch.num_rows})

    changed = steps(preprocess=as_text, prepared=TABLE)
    with pytest.raises(StepFailedError, match="column 'a' as string; for an empty batch it was integer"):
        list(score_batches(table(3, 3), Doubling, changed, Stats()))


def test_a_postprocess_function_that_changes_the_order_binds_by_name_and_other_columns_are_caught() -> None:
    two = pa.schema([("p", pa.float64()), ("q", pa.float64())])

    def swapped(batch: pa.RecordBatch) -> pa.RecordBatch:
        p = batch.column("prediction")
        return pa.RecordBatch.from_arrays([pc.negate(p), p], names=["q", "p"])

    (scored,) = score_batches(table(3, 3), Doubling, steps(postprocess=swapped, outputs=two), Stats())
    assert scored.outputs.to_pydict() == {"p": [0.0, 2.0, 4.0], "q": [-0.0, -2.0, -4.0]}
    with pytest.raises(StepFailedError, match="for an empty batch they were"):
        list(score_batches(table(3, 3), Doubling, steps(postprocess=swapped), Stats()))


def test_preprocess_is_called_also_where_nothing_holds_it_to_its_columns() -> None:
    def tenfold(batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({"a": pc.multiply(batch.column("a"), pa.scalar(10, pa.int32()))})

    (scored,) = score_batches(table(3, 3), Doubling, steps(preprocess=tenfold), Stats())
    assert scored.outputs.column("prediction").to_pylist() == [0.0, 20.0, 40.0]


def test_every_counter_of_a_worker_arrives_in_the_totals_of_a_run() -> None:
    counted = Stats(**{name: number for number, name in enumerate((*COUNTS, *SECONDS), start=1)})  # type: ignore[arg-type]
    wanted = {name: getattr(counted, name) for name in (*COUNTS, *SECONDS)}
    first, *others = counted.take_column(3).to_pylist()
    totals = TaskTotals.of_tasks([first])
    assert (len(wanted), others, totals.workers, totals.host_clients) == (26, [None, None], 1, 1)
    assert {name: getattr(totals, name) for name in wanted} == wanted
    assert totals.seconds == {name: wanted[name] for name in SECONDS}
    twice = TaskTotals.of_tasks([totals.as_task(), first])
    assert ({name: getattr(twice, name) for name in wanted}, twice.workers, twice.host_clients) == (
        {name: 2 * value for name, value in wanted.items()},
        2,
        2,
    )
