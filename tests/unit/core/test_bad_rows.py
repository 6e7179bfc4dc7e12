"""Rows that a model fails for are found and set aside; the others keep their predictions, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.bad_rows import PROBED, BadRowLimits
from spark_infer.core.contract import bind
from spark_infer.core.duplicates import row_digests
from spark_infer.core.memory_ceiling import is_out_of_memory
from spark_infer.core.outputs import Predictions
from spark_infer.core.prediction_cache import PredictionCache
from spark_infer.core.row_order import Echoes
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats, TaskTotals
from spark_infer.errors import (
    DeadlineError,
    InputValueError,
    ModelCrashedError,
    PredictError,
    RowOrderError,
    SparkInferError,
    StepFailedError,
    TooManyBadRowsError,
    UndecodableError,
)

TABLE = pa.schema([("id", pa.int64()), ("a", pa.float64())])
SIGNATURE = Signature(inputs=(Column(name="a", type=pa.float64()),))
OUTPUTS = pa.schema([("prediction", pa.float64()), ("parts", pa.list_(pa.int64()))])
ANY = BadRowLimits()


class Poisoned:
    """Fails for some values; the last bits of an answer depend on the row's place and on the size of the batch."""

    def __init__(self, bad: set[float], *, only_batches_of: int | None = None) -> None:
        self.bad = bad
        self.only = only_batches_of
        self.calls: list[int] = []

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        self.calls.append(inputs.num_rows)
        if self.only not in (None, inputs.num_rows):
            raise ValueError("another size")
        values = inputs.column("a").to_numpy()
        if self.bad.intersection(values.tolist()):
            raise ValueError("Jane Doe")
        return {
            "prediction": values * 2 + np.arange(len(values)) * 1e-9 + len(values) * 1e-6,
            "parts": [[int(value), len(values)] for value in values],
        }

    def close(self) -> None:
        pass


def steps(batch_size: int, limits: BadRowLimits | None = ANY, **more: Any) -> ScoringSteps:
    given: dict[str, Any] = {
        "preprocess": None,
        "postprocess": lambda batch: batch,
        "raw_outputs": OUTPUTS,
        "outputs": OUTPUTS,
        **more,
    }
    return ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, SIGNATURE),
        batch_size=batch_size,
        max_batch_bytes=10**9,
        bad_rows=limits,
        **given,
    )


def table(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": range(rows), "a": [float(row) for row in range(rows)]}, schema=TABLE)


def scored(model: Any, rows: int, how: ScoringSteps, stats: Stats | None = None) -> tuple[list[Any], list[Any]]:
    """Predictions and errors, row by row."""
    stats = stats or Stats()
    found = list(score_batches(iter([table(rows)]), lambda: model, how, stats))
    assert [key for each in found for key in each.rows.column("id").to_pylist()] == [*range(rows)]
    assert stats.rows == rows
    predictions = [row for each in found for row in each.outputs.to_pylist()]
    errors = [
        error for each in found for error in (each.errors.to_pylist() if each.errors else [None] * each.rows.num_rows)
    ]
    return predictions, errors


@given(st.integers(1, 60), st.integers(1, 20), st.sets(st.integers(0, 59)), st.sampled_from(["never", "always"]))
def test_the_failing_rows_and_no_others_are_without_a_prediction(
    rows: int, batch_size: int, bad: set[int], deduplicate: str
) -> None:
    wanted, _ = scored(Poisoned(set()), rows, steps(batch_size))
    poisoned = Poisoned(set(map(float, bad)))
    predictions, errors = scored(poisoned, rows, steps(batch_size, deduplicate=deduplicate))
    for row in range(rows):
        if row in bad:
            assert predictions[row] == {"prediction": None, "parts": None}
            assert errors[row]["error_class"] == "ValueError"
        else:
            assert predictions[row] == wanted[row]
            assert errors[row] is None


class Crashing:
    """Ends its process for some values; all other answers depend on the row alone."""

    by_row = True

    def __init__(self, bad: set[int]) -> None:
        self.bad = bad

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        values = inputs.column("a").to_numpy()
        if self.bad.intersection(values.tolist()):
            raise ModelCrashedError.on_batch("signal 6", len(values))
        return {"prediction": values * 2, "parts": [[int(value)] for value in values]}

    def close(self) -> None:
        pass


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=80),
    st.integers(1, 12),
    st.sets(st.integers(0, 12), max_size=3),
    st.sets(st.integers(0, 12)),
    st.booleans(),
)
def test_a_row_that_ends_the_process_is_blamed_also_where_the_others_of_its_batch_are_known(
    values: list[int], batch_size: int, bad: set[int], cached: set[int], caches: bool
) -> None:
    def find(digests: Any) -> tuple[Any, pa.RecordBatch]:
        known = np.array([bytes(each) in answers for each in digests])
        rows = [answers[bytes(each)] for each in digests if bytes(each) in answers]
        return known, pa.RecordBatch.from_pylist(rows, schema=OUTPUTS)

    inputs = pa.RecordBatch.from_pydict({"a": [float(each) for each in sorted(cached - bad)]})
    digests = row_digests(inputs)
    found = [{"prediction": 2.0 * each, "parts": [each]} for each in sorted(cached - bad)]
    answers = {bytes(key): answer for key, answer in zip(digests, found, strict=True)}
    stats = Stats()
    cache = PredictionCache(find, lambda digests, rows: None, stats) if caches else None
    how = steps(batch_size, deduplicate="always", cache=cache)
    rows = pa.RecordBatch.from_pydict({"id": range(len(values)), "a": [float(each) for each in values]}, schema=TABLE)
    scored_batches = list(score_batches(iter([rows]), lambda: Crashing(bad), how, stats))
    predictions = [row["prediction"] for each in scored_batches for row in each.outputs.to_pylist()]
    assert predictions == [None if each in bad else 2.0 * each for each in values]


def test_seven_poison_rows_of_100_000_cost_a_few_calls_each() -> None:
    bad, batch = {0, 9_999, 10_000, 54_321, 54_322, 77_777, 99_999}, 10_000
    wanted, _ = scored(Poisoned(set()), 100_000, steps(batch))
    poisoned, stats = Poisoned(set(map(float, bad))), Stats()
    predictions, errors = scored(poisoned, 100_000, steps(batch, BadRowLimits(most=7, fraction=0.001)), stats)
    assert {row for row, error in enumerate(errors) if error} == bad
    assert [each for row, each in enumerate(predictions) if row not in bad] == [
        each for row, each in enumerate(wanted) if row not in bad
    ]
    assert len(poisoned.calls) <= 10 + 7 * 2 * math.ceil(math.log2(batch))
    assert (stats.bad_rows, stats.errors) == (7, {"ValueError": 7})
    assert TaskTotals.of_tasks([stats.take()]).error_classes == {"ValueError": 7}


def test_nothing_is_called_twice_while_nothing_fails() -> None:
    model = Poisoned(set())
    _, errors = scored(model, 10, steps(4))
    assert (model.calls, errors) == ([4, 4, 2], [None] * 10)


def test_a_model_that_takes_batches_of_one_size_alone_loses_the_bad_rows_and_no_others() -> None:
    model = Poisoned({0.0, 13.0}, only_batches_of=8)
    predictions, errors = scored(model, 16, steps(8))
    assert [row for row, error in enumerate(errors) if error] == [0, 13]
    assert [row for row, each in enumerate(predictions) if each["prediction"] is None] == [0, 13]


def test_rows_that_all_fail_stop_the_task_after_a_few_calls_unless_all_may() -> None:
    everything = set(map(float, range(1_000)))
    model = Poisoned(everything)
    with pytest.raises(TooManyBadRowsError, match=r"1,000 of the first 1,000 rows, and max_bad_fraction is 0.1"):
        scored(model, 1_000, steps(1_000, BadRowLimits(fraction=0.1)))
    assert len(model.calls) < 25
    predictions, errors = scored(Poisoned(everything), 1_000, steps(1_000))
    assert not any(each["prediction"] for each in predictions)
    assert all(errors)


@pytest.mark.parametrize("deduplicate", ["never", "always"])
@pytest.mark.parametrize("limits", [BadRowLimits(fraction=0.1), BadRowLimits(most=1_000)], ids=str)
def test_a_model_that_fails_for_all_rows_is_stopped_by_a_few_of_the_first_batch(
    limits: BadRowLimits, deduplicate: str
) -> None:
    broken = Poisoned(set(map(float, range(50_000))))
    with pytest.raises(TooManyBadRowsError):
        scored(broken, 50_000, steps(10_000, limits, any_size=True, deduplicate=deduplicate))
    assert sum(broken.calls) == PROBED + 16


def test_a_probe_changes_no_prediction_and_no_count() -> None:
    limits, model, stats = BadRowLimits(fraction=0.1), Poisoned(set()), Stats()
    assert scored(model, 1_000, steps(500, limits), stats) == scored(Poisoned(set()), 1_000, steps(500))
    assert model.calls == [PROBED, 500, 500]
    assert (stats.rows, stats.predicted, stats.batches) == (1_000, 1_000, 2)


def test_small_batches_have_no_probe() -> None:
    model = Poisoned(set())
    scored(model, 800, steps(4 * PROBED, BadRowLimits(fraction=0.1)))
    assert model.calls == [400, 400]


@pytest.mark.parametrize("bad", [set(range(100)), {0, 99, 500}, {*range(0, 1_000, 11)}])
def test_a_probe_that_fails_decides_no_row(bad: set[int]) -> None:
    wanted = scored(Poisoned(set()), 2_000, steps(1_000))[0]
    stats = Stats()
    predictions, errors = scored(Poisoned(set(map(float, bad))), 2_000, steps(1_000, BadRowLimits(fraction=0.2)), stats)
    assert {row for row, error in enumerate(errors) if error} == bad
    assert all(row in bad or predictions[row] == wanted[row] for row in range(2_000))
    assert (stats.rows, stats.bad_rows) == (2_000, len(bad))


def test_a_model_that_takes_batches_of_one_size_alone_is_not_judged_by_a_probe() -> None:
    model = Poisoned({3.0}, only_batches_of=1_000)
    _, errors = scored(model, 2_000, steps(1_000, BadRowLimits(fraction=0.1)))
    assert [row for row, error in enumerate(errors) if error] == [3]


def test_more_bad_rows_than_a_number_or_a_share_stop_the_task() -> None:
    bad = set(map(float, range(0, 300, 10)))
    with pytest.raises(TooManyBadRowsError, match=r"11 of the first 200 rows, and max_bad_rows is 10") as caught:
        scored(Poisoned(bad), 300, steps(100, BadRowLimits(most=10)))
    assert "on_error: fail, and take out max_bad_rows, error_column and quarantine" in caught.value.next_step
    with pytest.raises(TooManyBadRowsError, match=r"6 of the first 100 rows, and max_bad_fraction is 0.05"):
        scored(Poisoned(bad), 300, steps(100, BadRowLimits(fraction=0.05)))
    # Of fewer than 100 rows, as many may be bad as of 100.
    assert sum(map(bool, scored(Poisoned(bad), 30, steps(100, BadRowLimits(fraction=0.05)))[1])) == 3


class RunsOutOfMemoryError(RuntimeError):
    pass


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError("a"),
        OSError("no such file"),
        ConnectionError("reset"),
        ImportError("no module"),
        SystemExit(1),
        RuntimeError("CUDA out of memory. Tried to allocate"),
        RuntimeError("Failed to allocate memory for requested buffer"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_what_is_no_row_s_fault_ends_the_task_at_once(fault: BaseException) -> None:
    class Failing(Poisoned):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            self.calls.append(inputs.num_rows)
            if self.bad:
                raise RunsOutOfMemoryError("while predicting") from fault
            raise fault

    for nested in (set[float](), {1.0}):
        model = Failing(nested)
        with pytest.raises(PredictError):
            scored(model, 8, steps(8))
        assert model.calls == ([8, 4, 2, 1] if nested or is_out_of_memory(fault) else [8])


def test_an_error_of_a_worker_s_own_ends_the_task_at_once() -> None:
    class Hanging(Poisoned):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            self.calls.append(inputs.num_rows)
            raise DeadlineError("too long")

    model = Hanging(set())
    with pytest.raises(DeadlineError):
        scored(model, 8, steps(8))
    assert model.calls == [8]


def test_an_error_that_no_row_has_alone_ends_the_task() -> None:
    class Pairs(Poisoned):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            self.calls.append(inputs.num_rows)
            if inputs.num_rows > 1:
                raise ValueError("more than one")
            return {"prediction": [0.0], "parts": [[1]]}

    model = Pairs(set())
    with pytest.raises(PredictError, match="raised on a batch of 64 rows"):
        scored(model, 64, steps(64))
    assert len(model.calls) < 12


def test_a_model_that_sorts_its_rows_is_refused_and_not_searched() -> None:
    class Sorting(Poisoned):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            return {"a": np.sort(inputs.column("a").to_numpy())}

    echo = pa.schema([("a", pa.float64())])
    echoes = Echoes(bind(TABLE, SIGNATURE), echo)
    how = steps(8, raw_outputs=echo, outputs=echo, echoes=echoes)
    backwards = table(8).take(pa.array(range(7, -1, -1)))
    with pytest.raises(RowOrderError):
        list(score_batches(iter([backwards]), lambda: Sorting(set()), how, Stats()))


def _fails_for(column: str, value: int) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    def step(batch: pa.RecordBatch) -> pa.RecordBatch:
        if value in np.round(batch.column(column).to_numpy()).tolist():
            raise StepFailedError("It raised.")
        return batch

    return step


@pytest.mark.parametrize("deduplicate", ["never", "always"])
@pytest.mark.parametrize("stage", ["preprocess", "postprocess"])
def test_a_row_that_a_step_fails_for_is_found(stage: str, deduplicate: str) -> None:
    step = _fails_for("a", 5) if stage == "preprocess" else _fails_for("prediction", 10)
    how = replace(steps(8, deduplicate=deduplicate), **{stage: step})  # type: ignore[arg-type]
    _, errors = scored(Poisoned(set()), 16, how)
    assert [row for row, error in enumerate(errors) if error] == [5]
    assert errors[5] == {"error_class": "StepFailedError", "error_message": "It raised."}


def test_a_value_that_has_no_place_in_the_model_s_type_is_found() -> None:
    signature = Signature(inputs=(Column(name="a", type=pa.int64()),))
    batch = pa.RecordBatch.from_pydict({"a": [1, 2, None, 4]}, schema=pa.schema([("a", pa.int64())]))

    class Strict(Poisoned):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            if nulls := inputs.column("a").null_count:
                raise InputValueError.nulls("a", nulls, inputs.num_rows, declared="long")
            return {"prediction": inputs.column("a").to_numpy() + 0.5, "parts": [[1]] * inputs.num_rows}

    how = replace(steps(4), binding=bind(batch.schema, signature))
    (found,) = score_batches(iter([batch]), lambda: Strict(set()), how, Stats())
    assert found.outputs.column("prediction").to_pylist() == [1.5, 2.5, None, 4.5]
    assert found.errors is not None
    assert found.errors[2].as_py()["error_class"] == "InputValueError"
    assert "'a'" in found.errors[2].as_py()["error_message"]


def test_rows_that_a_model_drops_are_found() -> None:
    class Dropping(Poisoned):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            values = inputs.filter(pc.not_equal(inputs.column("a"), pa.scalar(3.0))).column("a").to_numpy()
            return {"prediction": values, "parts": [[1]] * len(values)}

    _, errors = scored(Dropping(set()), 8, steps(8))
    assert [row for row, error in enumerate(errors) if error] == [3]
    assert errors[3]["error_class"] == "PredictionShapeError"


@pytest.mark.parametrize("show_values", [False, True])
def test_a_reason_is_bounded_and_holds_no_values_unless_they_may_be_shown(show_values: bool) -> None:
    class Talking(Poisoned):
        def predict(self, inputs: pa.RecordBatch) -> Predictions:
            raise KeyError("Jane Doe " * 1_000)

    _, errors = scored(Talking(set()), 1, steps(1, show_values=show_values))
    assert errors[0]["error_class"] == "KeyError"
    assert ("Jane" in errors[0]["error_message"]) == show_values
    assert len(errors[0]["error_message"]) <= 500


def test_without_limits_of_bad_rows_the_first_one_ends_the_task() -> None:
    model = Poisoned({3.0})
    with pytest.raises(SparkInferError, match="raised on a batch of 8 rows"):
        scored(model, 8, steps(8, None))
    assert model.calls == [8]


def test_rows_that_cannot_be_decoded_cost_one_more_pass_however_many_they_are() -> None:
    passes: list[int] = []

    def decode(batch: pa.RecordBatch) -> pa.RecordBatch:
        passes.append(batch.num_rows)
        bad = {at: ("E", f"file {row}") for at, row in enumerate(batch.column("id").to_pylist()) if row % 5 == 0}
        if bad:
            raise UndecodableError.of_rows(bad, batch.num_rows)
        return batch

    predictions, errors = scored(Poisoned(set()), 100, steps(50, preprocess=decode))
    assert passes == [50, 40, 50, 40]
    assert [row for row, error in enumerate(errors) if error] == [*range(0, 100, 5)]
    assert errors[95] == {"error_class": "E", "error_message": "file 95"}
    assert [each["parts"] for each in predictions][8:11] == [[8, 40], [9, 40], None]
    # A row that the model fails for is found among those that are decoded.
    stats = Stats()
    predictions, errors = scored(Poisoned({7.0}), 100, steps(100, preprocess=decode), stats)
    assert [row for row, error in enumerate(errors) if error] == [0, 5, 7, *range(10, 100, 5)]
    assert (predictions[8]["parts"], predictions[7]["parts"]) == ([8, 80], None)
    assert stats.errors == {"E": 20, "ValueError": 1}
