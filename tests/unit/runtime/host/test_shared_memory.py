"""Values and batches in shared memory: equal on the other side, not copied there, and gone with the processes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from spark_infer.runtime.host.shared_memory import PREDICTED_ALONE, WAITING, ReceivedBatches, SentBatches, share, shared


@pytest.fixture
def sent() -> Iterator[SentBatches]:
    made = SentBatches()
    yield made
    made.close()


def received(sent: SentBatches) -> ReceivedBatches:
    file = sent.take_descriptor()
    assert file is not None
    return ReceivedBatches(os.dup(file))


def test_arrays_come_out_as_they_went_in_and_are_read_only() -> None:
    value = {
        None: np.arange(1000.0),
        "matrix": np.arange(12, dtype=np.int32).reshape(3, 4)[:, 1:3],
        "texts": ["ä", None, "c"],
        "arrow": pa.array([[1.0], None, [2.0, 3.0]]),
        "none": np.array([]),
    }
    found = shared(share(value))
    assert found.keys() == value.keys()
    assert np.array_equal(found[None], value[None])
    assert np.array_equal(found["matrix"], value["matrix"])
    assert found["texts"] == value["texts"]
    assert found["arrow"].equals(value["arrow"])
    assert found["none"].shape == (0,)
    assert not found[None].flags.writeable


def test_a_value_of_many_arrays_and_large_ones_is_written_whole() -> None:
    value = [np.full(number, number) for number in range(1500)] + [np.zeros(2**20)]
    found = shared(share(value))
    assert all(np.array_equal(left, right) for left, right in zip(found, value, strict=True))


def test_batches_of_growing_and_shrinking_sizes_arrive(sent: SentBatches) -> None:
    host = None
    for rows in (1, 10, 10_000, 3, 100_000, 0):
        batch = pa.record_batch({"x": np.arange(rows), "s": pa.array([f"t{each}" for each in range(rows)])})
        length = sent.write(batch)
        file = sent.take_descriptor()
        if file is not None:
            host = ReceivedBatches(os.dup(file))
        assert host is not None
        assert host.read(length).equals(batch)
        assert sent.take_descriptor() is None


def test_a_batch_is_read_where_it_lies(sent: SentBatches) -> None:
    length = sent.write(pa.record_batch({"x": np.arange(100_000)}))
    host = received(sent)
    before = pa.total_allocated_bytes()
    batch = host.read(length)
    assert pa.total_allocated_bytes() - before < 100_000
    assert batch.num_rows == 100_000


def test_the_sender_sees_how_far_its_batch_has_come(sent: SentBatches) -> None:
    assert sent.state == WAITING
    sent.write(pa.record_batch({"x": [1]}))
    host = received(sent)
    host.note(PREDICTED_ALONE)
    assert sent.state == PREDICTED_ALONE
    sent.write(pa.record_batch({"x": [2]}))
    assert sent.state == WAITING


def test_memory_that_its_owner_can_shrink_is_refused(sent: SentBatches) -> None:
    file = os.memfd_create("a", os.MFD_ALLOW_SEALING)
    os.ftruncate(file, 1000)
    with pytest.raises(ValueError, match="shrink"):
        ReceivedBatches(file)
    sent.write(pa.record_batch({"x": [1]}))
    own = sent.take_descriptor()
    assert own is not None
    with pytest.raises(PermissionError):
        os.ftruncate(own, 10)


def test_descriptors_are_closed() -> None:
    before = len(os.listdir("/proc/self/fd"))
    shared(share(np.arange(10)))
    sent = SentBatches()
    sent.write(pa.record_batch({"x": [1]}))
    sent.close()
    del sent
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_batch_that_the_model_keeps_stays_as_it_was(sent: SentBatches) -> None:
    length = sent.write(pa.record_batch({"x": [1, 2, 3]}))
    host = received(sent)
    kept = host.read(length).column(0)
    host.take_back()
    sent.write(pa.record_batch({"x": [4, 5, 6]}))
    assert kept.to_pylist() == [1, 2, 3]
    host = received(sent)  # of the new memory, in which the batches go on
    host.read(length)
    host.take_back()
    sent.write(pa.record_batch({"x": [7, 8, 9]}))
    assert sent.take_descriptor() is None
    assert host.read(length).column(0).to_pylist() == [7, 8, 9]
