"""Rows that a task has predicted are not predicted again, as long as their answers fit and looking them up pays."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.duplicates import row_keys
from spark_infer.core.known_rows import KnownRows
from tests.unit.core.test_duplicates import VALUES, spelled


def letters(text: str) -> pa.RecordBatch:
    return pa.record_batch({"t": list(text)})


class Counted:
    """Answers a text with itself in capitals, and notes what it was asked; each look at the clock takes ``tick``."""

    def __init__(self, *, tick: float = 0.0, each: float = 1.0) -> None:
        self.asked: list[str] = []
        self._now, self._tick, self._each = 0.0, tick, each

    def predict(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        texts = rows.column("t").to_pylist()
        self.asked.append("".join(texts))
        self._now += self._each * len(texts)
        return pa.record_batch({"answer": [text.upper() for text in texts]})

    def clock(self) -> float:
        self._now += self._tick
        return self._now


def answers(known: KnownRows, model: Counted, *texts: str) -> list[str]:
    return ["".join(known.predict(letters(text), model.predict).column("answer").to_pylist()) for text in texts]


def test_a_row_is_predicted_once_in_a_task_and_answers_keep_their_order() -> None:
    model = Counted()
    assert answers(KnownRows(model.clock), model, "abc", "cdbe", "ea", "fabg") == ["ABC", "CDBE", "EA", "FABG"]
    assert model.asked == ["abc", "de", "fg"]


def test_a_task_whose_first_rows_are_all_it_has_predicts_no_others() -> None:
    model = Counted(tick=0.1)
    known = KnownRows(model.clock)
    assert not known
    known.keep(letters("abc"), pa.record_batch({"answer": ["A", "B", "C"]}), row_seconds=1.0)
    assert known
    assert answers(known, model, "cab", "ba") == ["CAB", "BA"]
    assert model.asked == []


def test_a_model_that_is_faster_than_looking_its_rows_up_is_asked_every_time() -> None:
    model = Counted(tick=1.0)
    known = KnownRows(model.clock)
    known.keep(letters("abc"), pa.record_batch({"answer": ["A", "B", "C"]}), row_seconds=0.2)
    assert not known
    assert not known.active


def test_what_does_not_fit_is_predicted_and_not_kept() -> None:
    model = Counted()
    known = KnownRows(model.clock, max_bytes=400)  # two rows with their keys
    assert answers(known, model, "ab", "cdef", "bcag") == ["AB", "CDEF", "BCAG"]
    assert model.asked == ["ab", "cdef", "cg"]


def test_rows_are_no_longer_looked_up_where_that_takes_longer_than_it_spares() -> None:
    model = Counted(tick=1.0, each=0.5)
    known = KnownRows(model.clock)
    assert answers(known, model, "abcd") == ["ABCD"]
    assert not known.active
    dear = Counted(tick=1.0, each=100.0)
    known = KnownRows(dear.clock)
    assert answers(known, dear, "abcd", "cdef") == ["ABCD", "CDEF"]
    assert known.active


def test_rows_that_cannot_be_compared_are_predicted() -> None:
    rows = pa.record_batch([pa.array([[("x", 1.0)]] * 2, pa.map_(pa.string(), pa.float64()))], names=["m"])
    known = KnownRows(itertools.count().__next__)
    assert known.predict(rows, lambda batch: batch) is rows
    assert not known.active


@given(st.data())
def test_keys_are_equal_when_and_only_when_all_bits_are_whatever_else_is_in_the_batch(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from([*VALUES]), min_size=1, max_size=3, unique=True))
    rows = data.draw(st.lists(st.tuples(*(st.sampled_from(VALUES[kind][1]) for kind in kinds)), min_size=1))
    columns = [pa.array([row[at] for row in rows], VALUES[kind][0]) for at, kind in enumerate(kinds)]
    batch = pa.RecordBatch.from_arrays(columns, names=kinds)
    one_by_one = [row_keys(batch.slice(index, 1)) for index in range(len(rows))]
    keys = row_keys(batch)
    assert keys is not None
    assert [[key] for key in keys] == one_by_one
    wanted = [tuple(map(spelled, row)) for row in rows]
    assert [keys.index(key) for key in keys] == [wanted.index(row) for row in wanted]


@pytest.mark.parametrize("columns", [1, 40])
def test_wide_rows_have_short_keys(columns: int) -> None:
    batch = pa.record_batch({f"c{number}": [1.5, 2.5, 1.5] for number in range(columns)})
    keys = row_keys(batch)
    assert keys is not None
    assert max(map(len, keys)) <= 16
    assert (keys[0] == keys[2], keys[0] == keys[1]) == (True, False)
