"""Rows that are equal to the last bit, so that a model needs to be asked for one of them alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

RUN_BATCHES = 8
"""Most model batches whose rows are compared with each other."""

Part = npt.NDArray[np.uint64] | npt.NDArray[np.bool_]


class Deduplication:
    """Whether it pays to look for equal rows; judged again after each run of batches.

    Attributes:
        active: Whether to look.
        batches: How many model batches are compared with each other.

    Args:
        option: ``never``, ``always``, or ``auto``, which looks as long as it pays.
        by_row: Whether the model's answer for a row is known to depend on that row alone.
    """

    def __init__(self, option: str, *, by_row: bool) -> None:
        self.active = option == "always" or (option == "auto" and by_row)
        self.batches = RUN_BATCHES if option == "always" else 1
        self._measured = option == "auto"

    def measure(self, *, rows: int, distinct: int, grouping: float, predict: float) -> None:
        """Note what a run took: seconds to find its distinct rows, and to predict those."""
        if self._measured:
            self.active = predict * (rows - distinct) / max(1, distinct) > grouping
            # From one batch on, so that a search in vain costs little.
            self.batches = min(RUN_BATCHES, 2 * self.batches)


def runs(batches: Iterable[pa.RecordBatch], search: Deduplication, *, max_bytes: int) -> Iterator[list[pa.RecordBatch]]:
    """Gather batches whose rows are compared: one by one while that is not worth it."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if not search.active or len(held) >= search.batches or sum(each.nbytes for each in held) >= max_bytes:
            yield held
            held = []
    if held:
        yield held


@dataclass(frozen=True)
class Groups:
    """Equal rows of a batch.

    Attributes:
        first: Where the first row of each group is, in order.
        group: The group of each row.
    """

    first: pa.Array
    group: pa.Array

    @classmethod
    def of_one(cls, rows: int) -> Groups:
        """Make each row a group of its own."""
        each = pa.array(np.arange(rows))
        return cls(each, each)


def group_rows(batch: pa.RecordBatch) -> Groups | None:
    """Group the rows of a batch that are equal to the last bit; NaN equals NaN of the same bits, null equals null.

    None where there are columns that cannot be compared so: maps, and arrays of anything but numbers.
    """
    parts: list[Part] = []
    for column in batch.columns:
        found = _parts(column)
        if found is None:
            return None
        parts += found
    if not parts:
        return None
    flags = [part for part in parts if part.dtype == np.bool_]
    words = [part for part in parts if part.dtype != np.bool_]
    words += [_packed(flags[start : start + 64]) for start in range(0, len(flags), 64)]
    keys = np.empty((batch.num_rows, len(words)), np.uint64)
    for index, word in enumerate(words):
        keys[:, index] = word
    rows = pa.Array.from_buffers(pa.binary(8 * len(words)), batch.num_rows, [None, pa.py_buffer(keys)])
    encoded = rows.dictionary_encode()
    group = encoded.indices.to_numpy()
    first = np.empty(len(encoded.dictionary), np.int64)
    first[group[::-1]] = np.arange(batch.num_rows)[::-1]  # of equal places the last one written stays: the first row
    return Groups(pa.array(first), encoded.indices)


def _packed(flags: list[Part]) -> Part:
    word = np.zeros(len(flags[0]), np.uint64)
    for bit, flag in enumerate(flags):
        word |= flag.astype(np.uint64) << np.uint64(bit)
    return word


def _parts(array: pa.Array) -> list[Part] | None:
    """Words and flags that tell the values of a column apart; None where there are none."""
    types = pa.types
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if types.is_struct(array.type):
        return _struct(array)
    if types.is_list(array.type) or types.is_large_list(array.type):
        array = _lists_as_bytes(array)
    if array is None or types.is_map(array.type) or types.is_fixed_size_list(array.type):
        return None
    if types.is_null(array.type):
        return [np.ones(len(array), np.bool_)]
    if types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    if not types.is_primitive(array.type) and not types.is_decimal(array.type):
        array = array.dictionary_encode("encode").indices
    return list(_fixed(array))


def _fixed(array: pa.Array) -> Iterator[Part]:
    size = array.type.bit_width // 8
    words, unit = max(1, size // 8), np.dtype(f"u{min(8, size)}")
    data = array.buffers()[1] or pa.py_buffer(b"")
    values = np.frombuffer(data, unit, len(array) * words, array.offset * size).reshape(len(array), words)
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if missing is not None:
        yield missing
    for word in values.T:
        # What lies below a null does not count.
        yield (word if missing is None else np.where(missing, unit.type(0), word)).astype(np.uint64, copy=False)


def _struct(array: pa.StructArray) -> list[Part] | None:
    parts: list[Part] = [array.is_null().to_numpy(zero_copy_only=False)]
    for child in array.flatten():
        found = _parts(child)
        if found is None:
            return None
        parts += found
    return parts


def _lists_as_bytes(array: pa.Array) -> pa.Array | None:
    """Arrays of numbers as what they are in memory; None where they are of something else, or hold nulls."""
    values = array.values
    plain = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if not plain or values.null_count:
        return None
    width = values.type.bit_width // 8
    ends = array.offsets.to_numpy().astype(np.int64) * width
    data = values.buffers()[1] or pa.py_buffer(b"")
    bytes_ = data.slice(values.offset * width, len(values) * width)
    valid = pa.array(array.is_valid()).buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(pa.large_binary(), len(array), [valid, pa.py_buffer(ends), bytes_])
