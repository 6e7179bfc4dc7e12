"""A stage that runs ahead of the next changes nothing of what comes, and leaves no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.bad_rows import BadRowLimits
from spark_infer.core.contract import bind
from spark_infer.core.outputs import Predictions
from spark_infer.core.prefetch import PrefetchChoice, choose_prefetch, prefetch
from spark_infer.core.scoring import score_batches
from spark_infer.core.scoring_steps import ScoringSteps
from spark_infer.core.signature import Column, Signature
from spark_infer.core.stats import Stats
from spark_infer.errors import SourceReadError, UndecodableError
from spark_infer.runtime.output_capture import capturing

SECONDS = 10
TABLE = pa.schema([("a", pa.int64())])
OUTPUTS = pa.schema([("prediction", pa.float64())])


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "prefetch" in thread.name]


class Source:
    """Yields numbers; knows how many it made and whether it was closed.

    Args:
        count: How many.
        fails_at: Which one it fails for; None for none.
    """

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self._count, self._fails_at = count, fails_at
        self.made, self.is_closed = 0, False

    def items(self) -> Generator[int]:
        try:
            for number in range(self._count):
                if number == self._fails_at:
                    raise LookupError(number)
                self.made += 1
                yield number
        finally:
            self.is_closed = True


@given(st.integers(0, 12), st.none() | st.integers(0, 12), st.integers(0, 12))
def test_items_errors_and_an_early_end_come_as_without(count: int, fails_at: int | None, taken: int) -> None:
    source = Source(count, fails_at)
    found: list[int] = []
    failed = False
    with closing(prefetch(source.items())) as items:
        try:
            while len(found) < taken:
                found.append(next(items))
                assert source.made <= len(found) + 1
        except StopIteration:
            pass
        except LookupError:
            failed = True
    there = count if fails_at is None else min(count, fails_at)
    assert found == list(range(min(taken, there)))
    assert failed == (fails_at is not None and fails_at < count and taken > fails_at)
    assert source.is_closed or not taken  # a generator that was not begun has nothing to close
    assert threads() == []


def test_the_next_item_is_made_while_the_last_one_is_worked_on() -> None:
    second = threading.Event()

    def items() -> Generator[int]:
        yield 1
        second.set()
        yield 2

    with closing(prefetch(items())) as ahead:
        assert next(ahead) == 1
        assert second.wait(SECONDS)
        assert next(ahead) == 2


@pytest.mark.parametrize(
    ("option", "cpus", "on_gpu", "is_on", "why"),
    [
        ("auto", 1, False, False, "a task has one core"),
        ("auto", 2, False, True, "a task has 2 cores"),
        ("auto", 1, True, True, "the model predicts on a GPU"),
        ("off", 2, True, False, "as the job says"),
    ],
)
def test_a_task_prefetches_where_something_else_can_compute(
    option: str, cpus: int, on_gpu: bool, is_on: bool, why: str
) -> None:
    assert choose_prefetch(option, cpus=cpus, on_gpu=on_gpu) == PrefetchChoice(is_on, why)


class Doubling:
    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at

    def predict(self, inputs: pa.RecordBatch) -> Predictions:
        values = inputs.column("a").to_numpy()
        if self.fails_at in values:
            raise ValueError("of the model")
        return {"prediction": values * 2 + np.arange(len(values)) / 1024}

    def close(self) -> None:
        pass


def steps(bad: set[int], *, batch_size: int, deduplicate: str, prefetching: bool) -> ScoringSteps:
    def decode(batch: pa.RecordBatch) -> pa.RecordBatch:
        reasons = {row: ("Bad", "bad") for row, value in enumerate(batch["a"].to_pylist()) if value in bad}
        if reasons:
            raise UndecodableError.of_rows(reasons, batch.num_rows)
        return batch

    return ScoringSteps(
        label="m version 1",
        binding=bind(TABLE, Signature(inputs=(Column(name="a", type=pa.int64()),))),
        raw_outputs=OUTPUTS,
        outputs=OUTPUTS,
        preprocess=decode,
        postprocess=lambda batch: batch,
        batch_size=batch_size,
        max_batch_bytes=10**9,
        deduplicate=deduplicate,
        bad_rows=BadRowLimits(),
        prefetch=prefetching,
    )


def cut(rows: int, size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, rows, size):
        yield pa.RecordBatch.from_pydict({"a": range(start, min(rows, start + size))}, schema=TABLE)


@given(
    rows=st.integers(0, 40),
    size=st.integers(1, 11),
    batch_size=st.integers(1, 11),
    bad=st.sets(st.integers(0, 40), max_size=5),
    fails_at=st.none() | st.integers(0, 40),
    deduplicate=st.sampled_from(["never", "always"]),
)
def test_a_table_is_scored_as_without(
    rows: int, size: int, batch_size: int, bad: set[int], fails_at: int | None, deduplicate: str
) -> None:
    def scored(*, prefetching: bool) -> tuple[list[Any], dict[str, Any]]:
        stats = Stats(clock=lambda: 0.0)
        how = steps(bad, batch_size=batch_size, deduplicate=deduplicate, prefetching=prefetching)
        found = []
        for each in score_batches(cut(rows, size), lambda: Doubling(fails_at), how, stats):
            errors = None if each.errors is None else each.errors.to_pylist()
            found.append((each.rows.to_pydict(), each.outputs.to_pydict(), errors))
        return found, stats.take()

    assert scored(prefetching=True) == scored(prefetching=False)
    assert threads() == []


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_scoring_that_is_closed_early_leaves_no_thread(taken: int) -> None:
    how = steps(set(), batch_size=2, deduplicate="never", prefetching=True)
    with closing(score_batches(cut(20, 2), Doubling, how, Stats())) as scored:
        for _ in range(taken):
            next(scored)
    assert threads() == []


def test_what_the_user_of_the_answers_raises_ends_the_thread_too() -> None:
    how = steps(set(), batch_size=2, deduplicate="never", prefetching=True)

    def write() -> None:
        for each in capturing(score_batches(cut(20, 2), Doubling, how, Stats())):
            assert len(threads()) == 1
            raise OSError(each.rows.num_rows)

    with pytest.raises(OSError, match="2"):
        write()
    assert threads() == []


def test_what_reading_raises_ends_the_scoring_after_the_batches_before_it() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from cut(6, 2)
        raise SourceReadError("vanished", next_step="run again")

    how = steps(set(), batch_size=2, deduplicate="never", prefetching=True)
    found: list[int] = []
    with pytest.raises(SourceReadError, match="vanished"):
        found.extend(each.rows.num_rows for each in score_batches(batches(), Doubling, how, Stats()))
    assert (found, threads()) == ([2, 2, 2], [])


def test_what_is_read_and_prepared_ahead_is_counted_once() -> None:
    def clock() -> float:
        return float(next(ticks))

    ticks = iter(range(1_000))
    stats = Stats(clock=clock)
    how = steps(set(), batch_size=2, deduplicate="never", prefetching=True)
    assert sum(each.rows.num_rows for each in score_batches(cut(8, 2), Doubling, how, stats)) == 8
    assert (stats.rows, stats.batches, stats.predicted) == (8, 4, 8)
    assert stats.prepare >= 4  # one tick at least for each batch
