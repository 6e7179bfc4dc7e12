"""Batches of several clients in one call: each gets the answer of its own rows, whatever fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.outputs import Predictions
from spark_infer.runtime.host.joined_requests import JoinLimit, choose_joined, predict_joined


@dataclass(frozen=True)
class Asked:
    batch: pa.RecordBatch
    alone: bool = False
    max_rows: int = 100
    max_bytes: int = 10**6

    @property
    def size_bytes(self) -> int:
        return int(self.batch.nbytes)


def rows(count: int, *, name: str = "x", start: int = 0) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(np.arange(start, start + count, dtype=np.float64))})


@pytest.mark.parametrize(
    ("waiting", "chosen"),
    [
        ([Asked(rows(10)), Asked(rows(20)), Asked(rows(5))], [0, 1, 2]),
        ([Asked(rows(60)), Asked(rows(50)), Asked(rows(40))], [0, 2]),
        ([Asked(rows(10), max_rows=40), Asked(rows(40)), Asked(rows(30))], [0, 2]),
        ([Asked(rows(10)), Asked(rows(20), max_rows=25), Asked(rows(30))], [0, 2]),
        ([Asked(rows(10)), Asked(rows(10), max_rows=25), Asked(rows(10))], [0, 1]),
        ([Asked(rows(10), max_bytes=160), Asked(rows(11)), Asked(rows(10))], [0, 2]),
        ([Asked(rows(10), alone=True), Asked(rows(10))], [0]),
        ([Asked(rows(10)), Asked(rows(10), alone=True), Asked(rows(10))], [0, 2]),
        ([Asked(rows(10)), Asked(rows(10, name="y")), Asked(rows(10))], [0, 2]),
        ([Asked(rows(200)), Asked(rows(1))], [0]),
    ],
)
def test_what_fits_beside_the_first_one_is_chosen(waiting: list[Asked], chosen: list[int]) -> None:
    assert choose_joined(waiting, JoinLimit()) == chosen


def test_fewer_rows_are_joined_once_more_of_them_ran_out_of_memory() -> None:
    limit = JoinLimit()

    def predict(batch: pa.RecordBatch) -> Predictions:
        if batch.num_rows > 30:
            raise MemoryError
        return {"y": batch.column("x")}

    waiting = [Asked(rows(20)), Asked(rows(20)), Asked(rows(20))]
    places = choose_joined(waiting, limit)
    assert places == [0, 1, 2]
    answers = predict_joined([waiting[place].batch for place in places], predict, limit)
    assert [len(answer["y"]) for answer in answers] == [20, 20, 20]  # type: ignore[index]
    assert limit.rows == 30
    assert choose_joined(waiting, limit) == [0]


def doubled(kind: str, values: Any) -> Any:
    match kind:
        case "numpy":
            return values * 2
        case "matrix":
            return np.stack([values * 2, values], axis=1)
        case "list":
            return (values * 2).tolist()
        case "arrow":
            return pa.array(values * 2)
        case _:
            return [{"y": value * 2} for value in values.tolist()]


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from(["numpy", "matrix", "list", "arrow", "dict"])
)
def test_the_answer_is_cut_into_those_of_each_batch(counts: list[int], kind: str) -> None:
    batches, calls = [rows(count, start=100 * place) for place, count in enumerate(counts)], []

    def predict(batch: pa.RecordBatch) -> Predictions:
        calls.append(batch.num_rows)
        return {"y": doubled(kind, np.array(batch.column("x").to_pylist()))}

    answers = predict_joined(batches, predict, JoinLimit())
    assert calls == [sum(counts)]
    for batch, answer in zip(batches, answers, strict=True):
        alone = doubled(kind, np.array(batch.column("x").to_pylist()))
        got = answer["y"]  # type: ignore[index]
        assert type(got) is type(alone)
        assert np.array_equal(np.array(got), np.array(alone))


def test_a_call_that_fails_is_made_again_for_each_batch_alone() -> None:
    calls = []

    def predict(batch: pa.RecordBatch) -> Predictions:
        calls.append(batch.num_rows)
        if 7.0 in batch.column("x").to_pylist():
            raise ValueError("seven")
        return {"y": batch.column("x")}

    answers = predict_joined([rows(5), rows(5, start=5), rows(3)], predict, JoinLimit())
    assert calls == [13, 5, 5, 3]
    assert [isinstance(answer, ValueError) for answer in answers] == [False, True, False]


def test_an_answer_of_other_rows_than_were_asked_for_is_not_cut() -> None:
    calls = []

    def predict(batch: pa.RecordBatch) -> Predictions:
        calls.append(batch.num_rows)
        return {"y": list(range(batch.num_rows - (batch.num_rows > 5)))}

    answers = predict_joined([rows(5), rows(4)], predict, JoinLimit())
    assert calls == [9, 5, 4]
    assert [len(answer["y"]) for answer in answers] == [5, 4]  # type: ignore[index]
