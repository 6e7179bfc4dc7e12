from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.bad_rows import BadRowLimits
from spark_infer.core.buckets import PreparedRows, predict_in_buckets
from spark_infer.core.contract import bind
from spark_infer.core.memory_ceiling import MemoryCeiling
from spark_infer.core.outputs import Predictions
from spark_infer.core.scoring import ScoredBatch, score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats
from spark_infer.errors import ModelCrashedError, PredictError

TABLE = pa.schema([("id", pa.int64()), ("text", pa.string())])
OUTPUTS = pa.schema([("prediction", pa.list_(pa.float64()))])


class Embedder:
    """Tokenizes texts into letters, pads batches, and averages over them with the padding masked out."""

    by_row = True

    def __init__(self, *, batch_cost: int = 20, batch_rows: int | None = None, memory: float = math.inf) -> None:
        self.batch_cost, self.batch_rows, self.memory = batch_cost, batch_rows, memory
        self.prepared, self.seen = 0, list[list[int]]()

    def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
        self.prepared += inputs.num_rows
        tokens = pa.array([[ord(letter) for letter in text] for text in inputs.column(0).to_pylist()])
        sizes = np.array([max(1, len(each)) for each in tokens.to_pylist()], np.int64)
        return PreparedRows(pa.RecordBatch.from_arrays([tokens.cast(pa.list_(pa.int32()))], ["tokens"]), sizes)

    def predict_prepared(self, rows: pa.RecordBatch) -> Predictions:
        tokens = rows.column(0).to_pylist()
        self.seen.append([len(each) for each in tokens])
        if any(ord("!") in each for each in tokens):
            raise ValueError("an exclamation mark")
        width = max(1, *map(len, tokens))
        if len(tokens) * width > self.memory:
            raise MemoryError
        padded, mask = np.zeros((len(tokens), width)), np.zeros((len(tokens), width))
        for row, each in enumerate(tokens):
            padded[row, : len(each)], mask[row, : len(each)] = each, 1
        total = np.maximum(mask.sum(axis=1), 1)
        return {None: np.stack([(padded * mask).sum(axis=1) / total, np.cos(padded @ np.ones(width))], axis=1)}

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        return self.predict_prepared(self.prepare(inputs).inputs)

    def close(self) -> None:
        pass


def steps(**more: Any) -> ScoringSteps:
    signature = Signature(inputs=(Column(name="text", type=pa.string()),))
    given: dict[str, Any] = {"batch_size": None, "max_batch_bytes": 10**9, "outputs": OUTPUTS, **more}
    return ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, signature),
        raw_outputs=OUTPUTS,
        preprocess=None,
        postprocess=lambda batch: batch,
        **given,
    )


def table(texts: list[str], cuts: list[int]) -> Iterator[pa.RecordBatch]:
    whole = pa.RecordBatch.from_pydict({"id": range(len(texts)), "text": texts}, schema=TABLE)
    start = 0
    for cut in cuts:
        yield whole.slice(start, cut)
        start += cut
    yield whole.slice(start)


def rows_of(scored: Iterator[ScoredBatch]) -> tuple[list[int], list[list[float] | None]]:
    found = list(scored)
    ids = [value for each in found for value in each.rows.column("id").to_pylist()]
    return ids, [value for each in found for value in each.outputs.column(0).to_pylist()]


TEXTS = st.lists(st.text("abcde", max_size=12), max_size=40)


@given(
    TEXTS,
    st.lists(st.integers(0, 9), max_size=5),
    st.sampled_from(["never", "auto", "always"]),
    st.none() | st.integers(1, 9),
    st.integers(1, 60),
    st.none() | st.integers(1, 50),
    st.integers(8, 400),
    st.sampled_from([math.inf, 13]),
)
def test_the_answers_are_those_of_the_rows_alone_however_they_are_cut(
    texts: list[str],
    cuts: list[int],
    deduplicate: str,
    batch_size: int | None,
    batch_cost: int,
    batch_rows: int | None,
    max_batch_bytes: int,
    memory: float,
) -> None:
    alone = Embedder()
    wanted = [alone.predict(pa.RecordBatch.from_pydict({"text": [text]}))[None][0].tolist() for text in texts]
    model, stats = Embedder(batch_cost=batch_cost, batch_rows=batch_rows, memory=memory), Stats()
    how = steps(batch_size=batch_size, deduplicate=deduplicate, max_batch_bytes=max_batch_bytes)
    ids, found = rows_of(score_batches(table(texts, cuts), lambda: model, how, stats))
    assert ids == list(range(len(texts)))
    assert found == wanted
    assert stats.rows == len(texts)
    assert all(batch_size is None or len(batch) <= batch_size for batch in model.seen)
    assert all(len(batch) == 1 or len(batch) * max(batch) <= batch_cost for batch in model.seen)


def test_a_window_is_prepared_once_and_cut_by_what_its_batches_cost_with_padding() -> None:
    model, stats = Embedder(batch_cost=12 * 10), Stats()
    texts = ["a", "abcdef", "abc", "ab", "abcde", "a", "abc"]
    list(score_batches(table([text * 10 for text in texts], [3]), lambda: model, steps(), stats))
    assert model.seen == [[60], [50], [30, 30], [20], [10, 10]]
    assert model.prepared == 7
    assert (stats.batches, stats.predicted, stats.rows_squared) == (5, 7, 1 + 1 + 4 + 1 + 4)
    assert (stats.tokens, stats.computed_tokens) == (210, 210)


def test_a_batch_ends_where_padding_costs_a_part_of_a_full_batch_or_no_more_fit() -> None:
    model, stats = Embedder(batch_cost=64), Stats()  # two letters of padding for each
    texts = ["abcdef", "abcde", "abcde", "abcd", "abc", "abc", "abc", *["a"] * 65]
    list(score_batches(table(texts, []), lambda: model, steps(), stats))
    assert model.seen == [[6, 5, 5], [4, 3, 3], [3, 1], [1] * 64]
    assert (stats.tokens, stats.computed_tokens) == (6 + 10 + 4 + 9 + 65, 18 + 12 + 6 + 64)


def test_batch_size_is_the_most_rows_of_a_batch_and_not_of_the_window_they_are_chosen_from() -> None:
    model = Embedder(batch_cost=1_000)
    list(score_batches(table(["abcd", "a", "abc", "ab"], [1, 1]), lambda: model, steps(batch_size=2), Stats()))
    assert model.seen == [[4, 3], [2, 1]]


def test_what_there_is_no_memory_for_is_halved_and_later_batches_cost_no_more() -> None:
    noted: list[int] = []
    model, stats = Embedder(batch_cost=32, memory=9), Stats()
    ceiling = MemoryCeiling(note=noted.append)
    ids, found = rows_of(
        score_batches(table(["abcd"] * 8 + ["ab"] * 8, []), lambda: model, steps(ceiling=ceiling), stats)
    )
    assert ids == list(range(16))
    assert None not in found
    assert noted == [8]  # two rows of four tokens
    assert [len(batch) for batch in model.seen] == [8, 4, 2, 2, 2, 2, 4, 4]
    assert stats.cut_batches == 1


def test_a_bad_row_is_found_among_few_rows_and_the_others_of_its_window_have_their_answers() -> None:
    texts = [chr(ord("a") + row % 26) * (1 + row % 9) for row in range(2_000)]
    texts[700] = "a!"
    model, stats = Embedder(batch_cost=64), Stats()
    how = steps(bad_rows=BadRowLimits())
    scored = list(score_batches(table(texts, [900]), lambda: model, how, stats))
    errors = [value for each in scored for value in (each.errors or pa.nulls(each.rows.num_rows)).to_pylist()]
    ids, found = rows_of(iter(scored))
    assert ids == list(range(2_000))
    assert [row for row, error in enumerate(errors) if error] == [700]
    assert [row for row, value in enumerate(found) if value is None] == [700]
    assert (stats.rows, stats.bad_rows) == (2_000, 1)
    assert model.prepared < 2 * 2_000 + 4 * 256


def test_the_first_window_is_small_since_nothing_is_known_of_its_outputs() -> None:
    windows: list[int] = []

    class Counting(Embedder):
        def prepare(self, inputs: pa.RecordBatch) -> PreparedRows:
            windows.append(inputs.num_rows)
            return super().prepare(inputs)

    list(score_batches(table(["ab"] * 1_000, []), lambda: Counting(batch_cost=10_000), steps(), Stats()))
    assert windows == [256, 744]


def test_a_row_that_ends_its_process_is_named_by_its_place_among_all_rows() -> None:
    prepared = PreparedRows(pa.RecordBatch.from_pydict({"x": [0, 1, 2]}), np.array([3, 1, 2]))

    def crashes(rows: pa.RecordBatch) -> pa.RecordBatch:
        if rows.column(0).to_pylist() == [2]:
            raise ModelCrashedError.on_batch("signal 11", 1)
        return rows

    with pytest.raises(ModelCrashedError) as crashed:
        predict_in_buckets(prepared, crashes, batch_cost=1, most_rows=None, ceiling=MemoryCeiling(), stats=Stats())
    assert crashed.value.row == 2


def test_what_preparing_raises_is_an_error_of_the_model() -> None:
    with pytest.raises(PredictError, match="Model m version 1 raised on a batch of 1 rows"):
        list(score_batches(table([None], []), Embedder, steps(), Stats()))  # type: ignore[list-item]  # a null
