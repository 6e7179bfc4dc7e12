"""Rows that are equal to the last bit, so that a model needs to be asked for one of them alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Part = npt.NDArray[np.uint64] | npt.NDArray[np.bool_]
Digests = npt.NDArray[np.uint64]
"""A row of two words for each row of a batch."""


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

    None where there are columns for which that takes long: maps, and arrays of anything but numbers.
    """
    rows = _rows(batch, across=False)
    if rows is None:
        return None
    encoded = rows.dictionary_encode()
    group = encoded.indices.to_numpy()
    first = np.empty(len(encoded.dictionary), np.int64)
    first[group[::-1]] = np.arange(batch.num_rows)[::-1]  # of equal places the last one written stays: the first row
    return Groups(pa.array(first), encoded.indices)


def row_keys(batch: pa.RecordBatch) -> list[bytes] | None:
    """Return bytes for each row of a batch: equal for rows that are equal to the last bit, in whichever batch they are.

    Texts and arrays stand in them as BLAKE2b of 128 bits, and so does what is longer than 32 bytes as a whole. None
    for a batch without columns.
    """
    rows = _rows(batch, across=True)
    if rows is None:
        return None
    keys: list[bytes] = rows.to_pylist()
    return keys if rows.type.byte_width <= _LONGEST_KEY else [*map(_digest, keys)]


def row_digests(batch: pa.RecordBatch) -> Digests:
    """Return BLAKE2b of 128 bits for each row: the same in every process, batch and encoding of equal values.

    Rows have equal digests where they are equal to the last bit, in columns of the same types; NaN equals NaN of the
    same bits, and -0.0 is not 0.0. Types and names of columns are not a part of it.
    """
    rows = _rows(batch, across=True)
    keys = [b""] * batch.num_rows if rows is None else rows.to_pylist()
    return np.frombuffer(b"".join(map(_digest, keys)), np.uint64).reshape(-1, _DIGEST_BYTES // 8)


_LONGEST_KEY = 32
_DIGEST_BYTES = 16


def _rows(batch: pa.RecordBatch, *, across: bool) -> pa.Array | None:
    """Make one array of bytes of all columns; None where there is a column that cannot be compared so, or none.

    Args:
        batch: The rows.
        across: Whether they are compared with rows of other batches too, which takes longer.
    """
    parts: list[Part] = []
    for column in batch.columns:
        found = _parts(column, across=across)
        if found is None:
            return None
        parts += found
    return _joined(parts, batch.num_rows) if parts else None


def _joined(parts: list[Part], rows: int) -> pa.Array:
    """Make one array of bytes of what tells the values of some columns apart."""
    flags = [part for part in parts if part.dtype == np.bool_]
    words = [part for part in parts if part.dtype != np.bool_]
    words += [_packed(flags[start : start + 64]) for start in range(0, len(flags), 64)]
    keys = np.empty((rows, len(words)), np.uint64)
    for index, word in enumerate(words):
        keys[:, index] = word
    return pa.Array.from_buffers(pa.binary(8 * len(words)), rows, [None, pa.py_buffer(keys)])


def _by_content(array: pa.Array) -> list[Part]:
    encoded = array.cast(pa.large_binary()).dictionary_encode("encode")
    digests = b"".join(map(_digest, encoded.dictionary.to_pylist()))
    words = np.frombuffer(digests, np.uint64).reshape(len(encoded.dictionary), _DIGEST_BYTES // 8)
    return list(words[encoded.indices.to_numpy()].T)


def _digest(value: bytes | None) -> bytes:
    return bytes(_DIGEST_BYTES) if value is None else blake2b(value, digest_size=_DIGEST_BYTES).digest()


def _packed(flags: list[Part]) -> Part:
    word = np.zeros(len(flags[0]), np.uint64)
    for bit, flag in enumerate(flags):
        word |= flag.astype(np.uint64) << np.uint64(bit)
    return word


def _parts(array: pa.Array, *, across: bool) -> list[Part] | None:
    """Words and flags that tell the values of a column apart; None where there are none."""
    types = pa.types
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if types.is_struct(array.type):
        return _struct(array, across=across)
    if across and types.is_nested(array.type):
        return _lists(array)
    if types.is_list(array.type) or types.is_large_list(array.type):
        array = _lists_as_bytes(array)
    if array is None or types.is_map(array.type) or types.is_fixed_size_list(array.type):
        return None
    if types.is_null(array.type):
        return [np.ones(len(array), np.bool_)]
    if types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    if not types.is_primitive(array.type) and not types.is_decimal(array.type):
        if across:
            return _by_content(array)
        array = array.dictionary_encode("encode").indices
    return list(_fixed(array, flagged=across))


def _fixed(array: pa.Array, *, flagged: bool) -> Iterator[Part]:
    size = array.type.bit_width // 8
    words, unit = max(1, size // 8), np.dtype(f"u{min(8, size)}")
    data = array.buffers()[1] or pa.py_buffer(b"")
    values = np.frombuffer(data, unit, len(array) * words, array.offset * size).reshape(len(array), words)
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count or flagged else None
    if missing is not None:
        yield missing  # across batches always, since the place of a word says which column it is of
    for word in values.T:
        # What lies below a null does not count.
        yield (word if missing is None else np.where(missing, unit.type(0), word)).astype(np.uint64, copy=False)


def _struct(array: pa.StructArray, *, across: bool) -> list[Part] | None:
    parts: list[Part] = [array.is_null().to_numpy(zero_copy_only=False)]
    for child in array.flatten():
        found = _parts(child, across=across)
        if found is None:
            return None
        parts += found
    return parts


def _lists(array: pa.Array) -> list[Part]:
    """Digests of arrays and maps of anything, which do not depend on what else is in the batch."""
    if pa.types.is_map(array.type):
        array = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.large_list(array.type.value_field))
    if not _is_number(array.type.value_type):
        elements = _joined(_parts(array.values, across=True) or [], len(array.values))
        return _by_content(_as_bytes(array, elements.buffers()[1], elements.type.byte_width))
    width, values = array.type.value_type.bit_width // 8, array.values
    nulls = values.is_null().cast(pa.uint8())
    unit = np.dtype(f"u{width}")
    words = np.frombuffer(values.buffers()[1] or b"", unit, len(values), values.offset * width)
    words = np.where(nulls.to_numpy(), unit.type(0), words)
    return [
        *_by_content(_as_bytes(array, pa.py_buffer(words), width)),
        *_by_content(_as_bytes(array, pa.py_buffer(nulls.to_numpy()), 1)),
    ]


def _lists_as_bytes(array: pa.Array) -> pa.Array | None:
    """Arrays of numbers as what they are in memory; None where they are of something else, or hold nulls."""
    values = array.values
    if not _is_number(values.type) or values.null_count:
        return None
    width = values.type.bit_width // 8
    data = values.buffers()[1] or pa.py_buffer(b"")
    return _as_bytes(array, data.slice(values.offset * width, len(values) * width), width)


def _as_bytes(array: pa.Array, data: pa.Buffer, width: int) -> pa.Array:
    """Make one value of bytes of each array; ``data`` has ``width`` bytes for each of their elements."""
    ends = array.offsets.to_numpy().astype(np.int64) * width
    valid = pa.array(array.is_valid()).buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(pa.large_binary(), len(array), [valid, pa.py_buffer(ends), data])


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
