"""What predictions look like: out of range, null, NaN or all the same."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from spark_infer.config.expect import ExpectedColumn
from spark_infer.core.expect import Watch, check_expected, refuse_constant, refuse_missing, unvarying
from spark_infer.core.stats import Stats, TaskTotals
from spark_infer.errors import PlanError, UnexpectedPredictionsError

NAN = math.nan


def watched(*batches: list[Any], errors: Any = None, kind: Any = None, **expected: Any) -> Stats:
    """What a task counts of one column in some batches."""
    stats = Stats()
    kind = kind or pa.float64()
    of = {"p": ExpectedColumn(**expected)} if expected else {}
    watch = Watch(pa.schema([("p", kind)]), of, stats)
    for values in batches:
        watch.look(pa.RecordBatch.from_pydict({"p": pa.array(values, kind)}), errors)
        stats.rows += len(values)
    return stats


def same(*tasks: Stats) -> list[tuple[str, bool]]:
    totals = TaskTotals.of_tasks([task.take() for task in tasks])
    again = TaskTotals.of_tasks([totals.as_task()])
    assert again.outputs == totals.outputs
    return list(unvarying(totals.outputs, totals.rows))


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        ([[[1.0, 1.0, 1.0], [1.0]], [[1.0]]], [("p", False)]),
        ([[[None, NAN, None]], [[NAN]]], [("p", True)]),
        ([[[1.0, 2.0, 1.0]]], []),
        ([[[1.0], [2.0]]], []),
        ([[[1.0, 1.0]], [[2.0, 2.0]]], []),
        ([[[1.0, 1.0]], [[3.0, 4.0]]], []),
        ([[[1.0, None, 1.0]]], []),
        ([[[NAN, 1.0, NAN]]], []),
    ],
)
def test_predictions_that_do_not_vary_are_seen_over_all_tasks(tasks: list[Any], found: list[Any]) -> None:
    assert same(*(watched(*batches) for batches in tasks)) == found


def test_a_column_that_varies_costs_its_task_no_entry_and_shows_no_value() -> None:
    assert "outputs" not in watched([1.0, 2.0], [3.0]).take()
    assert "4711" not in str(watched([4711.0, 4711.0]).take()["outputs"])


def test_texts_and_truth_values_are_compared_too() -> None:
    assert same(watched(["a", "a", "a"], kind=pa.string())) == [("p", False)]
    assert same(watched([True, False, True], kind=pa.bool_())) == []
    assert same(watched([None, None], kind=pa.string())) == [("p", True)]


@pytest.mark.parametrize(
    ("values", "bounds", "what"),
    [
        ([0.5, -0.1], {"min": 0}, "below the range, and min is 0"),
        ([0.5, 1.1, NAN], {"max": 1}, "above the range, and max is 1"),
        ([math.inf], {"max": 1}, "above the range"),
        ([-math.inf, NAN], {"min": 1}, "below the range"),
        ([None] * 6 + [NAN] * 5 + [0.0] * 189, {"max_null_fraction": 0.05}, "11 of the first 200 rows"),
    ],
)
def test_a_task_stops_at_the_first_batch_beyond_a_bound(values: list[Any], bounds: Any, what: str) -> None:
    with pytest.raises(UnexpectedPredictionsError, match=what) as stopped:
        watched(values, **bounds)
    assert "1.1" not in str(stopped.value)


def test_predictions_at_a_bound_and_bad_rows_pass() -> None:
    watched([0.0, 1.0, None, NAN], min=0, max=1)
    watched([None] * 10 + [0.0] * 190, max_null_fraction=0.05)
    errors = pa.array([{"a": 1}, None], pa.struct([("a", pa.int64())]))
    assert watched([9.0, 1.0], errors=errors, max=1).outputs["p"]["rows"] == 1


def test_counts_of_several_units_are_judged_together() -> None:
    bound = {"p": ExpectedColumn(max_null_fraction=0.1, not_constant=True)}
    units = [watched([NAN] * 10 + [0.0] * 90, max_null_fraction=0.1) for _ in range(2)]
    totals = TaskTotals.of_tasks([each.take() for each in units])
    refuse_missing(totals.outputs, bound)
    refuse_constant(totals.outputs, totals.rows, bound)
    with pytest.raises(UnexpectedPredictionsError, match="20 of the first 200 rows"):
        refuse_missing(totals.outputs, {"p": ExpectedColumn(max_null_fraction=0.05)})
    constant = TaskTotals.of_tasks([watched([1.0] * 100).take()])
    with pytest.raises(UnexpectedPredictionsError, match="all of the first 100 rows have one value"):
        refuse_constant(constant.outputs, constant.rows, bound)


def test_a_task_counts_on_when_its_stats_are_taken_batch_by_batch() -> None:
    stats = Stats()
    watch = Watch(pa.schema([("p", pa.float64())]), {"p": ExpectedColumn(max_null_fraction=0.1)}, stats)
    batch = pa.RecordBatch.from_pydict({"p": pa.array([NAN] * 4 + [1.0] * 6)})
    for _ in range(2):
        watch.look(batch, None)
        assert stats.take_column(10)[0].is_valid
    with pytest.raises(UnexpectedPredictionsError, match="12 of the first 30 rows"):
        watch.look(batch, None)


def test_what_cannot_be_judged_is_refused() -> None:
    outputs = pa.schema([("p", pa.float64()), ("label", pa.string()), ("all", pa.list_(pa.float64()))])
    check_expected(outputs, {"p": ExpectedColumn(min=0), "label": ExpectedColumn(max_null_fraction=0)})
    for name, expected, text in [
        ("q", ExpectedColumn(), "not a prediction column"),
        ("label", ExpectedColumn(min=0), "a range of 'label', which is string"),
        ("all", ExpectedColumn(max_null_fraction=0), "something of 'all'"),
    ]:
        with pytest.raises(PlanError, match=text):
            check_expected(outputs, {name: expected})
    with pytest.raises(ValueError, match="larger than"):
        ExpectedColumn(min=1, max=0)
