from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spark_infer.core.batching import rebatch

SIZES = st.lists(st.integers(0, 20), max_size=12)


def batches(sizes: list[int]) -> list[pa.RecordBatch]:
    start, cut = 0, []
    for size in sizes:
        cut.append(pa.RecordBatch.from_pydict({"x": pa.array(range(start, start + size), pa.int64())}))
        start += size
    return cut


@given(SIZES, st.integers(1, 9))
def test_every_batch_is_full_but_the_last_and_those_before_a_full_one(sizes: list[int], rows: int) -> None:
    cut = list(rebatch(batches(sizes), rows=rows, max_bytes=10**9))
    counts = [batch.num_rows for batch in cut]
    assert all(0 < count <= rows for count in counts)
    assert sum(count < rows for count in counts) <= 1 + sizes.count(rows)
    assert [value for batch in cut for value in batch.column("x").to_pylist()] == list(range(sum(sizes)))


@given(SIZES, st.integers(1, 9), st.integers(1, 64))
def test_no_batch_is_larger_than_its_bound_unless_it_is_one_row(sizes: list[int], rows: int, max_bytes: int) -> None:
    cut = list(rebatch(batches(sizes), rows=rows, max_bytes=max_bytes))
    assert all(batch.nbytes <= max_bytes or batch.num_rows == 1 for batch in cut)
    assert [value for batch in cut for value in batch.column("x").to_pylist()] == list(range(sum(sizes)))


def test_batches_of_the_right_size_are_not_copied_also_after_an_odd_one() -> None:
    arrived = batches([5, 1, 3, 5, 5])
    cut = list(rebatch(arrived, rows=5, max_bytes=10**9))
    assert [batch.num_rows for batch in cut] == [5, 4, 5, 5]
    addresses = [[batch.column("x").buffers()[1].address for batch in each] for each in (arrived, cut)]
    assert [addresses[1][i] for i in (0, 2, 3)] == [addresses[0][i] for i in (0, 3, 4)]


def test_batches_that_do_not_fit_together_go_alone_and_are_not_copied() -> None:
    arrived = batches([3, 3, 1, 3])
    cut = list(rebatch(arrived, rows=9, max_bytes=32))
    assert [batch.num_rows for batch in cut] == [3, 4, 3]
    addresses = [[batch.column("x").buffers()[1].address for batch in each] for each in (arrived, cut)]
    assert [addresses[1][i] for i in (0, 2)] == [addresses[0][i] for i in (0, 3)]


def test_a_batch_is_handed_on_before_the_next_is_asked_for() -> None:
    asked = []

    def source() -> object:
        for batch in batches([3, 3]):
            asked.append(batch.num_rows)
            yield batch

    stream = rebatch(source(), rows=3, max_bytes=10**9)  # type: ignore[arg-type]
    next(stream)
    assert asked == [3]
