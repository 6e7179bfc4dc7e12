"""One wide table out of all cases, and what it tells when it has been scored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tests.types.cases import MODELS, Case

CASES = [case for cases in MODELS.values() for case in cases]
SIZE = max(len(case.values) for case in CASES)
"""Rows without a null, before as many of which the first is null in every column that may be."""


def value(case: Case, row: int) -> Any:
    """What a column holds in a row of the table's sound part."""
    if row == SIZE and case.null is not None:
        return None
    return case.values[row % len(case.values)]


def expected(case: Case, row: int) -> list[str]:
    """What `echo.py` must say about a column in a row."""
    seen = case.null if row == SIZE and case.null is not None else case.seen[row % len(case.values)]
    return [(case.null_dtype or case.dtype) if row >= SIZE and case.null is not None else case.dtype, seen]


def table(broken: Sequence[tuple[Case, Any]] = (), cases: Sequence[Case] = CASES) -> pa.RecordBatch:
    """Return the rows 0 to 2 * `SIZE`, and one more for each broken value, whose other columns are sound."""
    sound = range(2 * SIZE)
    arrays = []
    for case in cases:
        values = [value(case, row) for row in sound]
        values += [bad if case is owner else case.values[0] for owner, bad in broken]
        arrays.append(pa.array(values, case.type))
    names = ["row", *(case.column for case in cases)]
    return pa.RecordBatch.from_arrays([pa.array(range(2 * SIZE + len(broken)), pa.int32()), *arrays], names=names)


def differences(cases: Sequence[Case], seen: Mapping[int, str]) -> dict[str, str]:
    """Compare what a model saw in the sound rows with what it must see.

    Args:
        cases: The model's.
        seen: What `echo.py` said of each row.

    Returns:
        Column -> the first difference; empty where all is right.
    """
    assert sorted(seen) == list(range(2 * SIZE))
    found: dict[str, str] = {}
    for row, text in seen.items():
        told = json.loads(text)
        assert set(told) == {case.column for case in cases}
        for case in cases:
            if told[case.column] != expected(case, row):
                found.setdefault(case.column, f"row {row}: {told[case.column]}, not {expected(case, row)}")
    return found


def same_bits(left: pa.Array, right: pa.Array) -> bool:
    """Whether two arrays hold the same bits: nulls, lengths, and floats by their representation."""
    ours, theirs = list(_leaves(left)), list(_leaves(right))
    return len(ours) == len(theirs) and all(a.equals(b) for a, b in zip(ours, theirs, strict=True))


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    yield array.is_valid()
    if pa.types.is_struct(array.type):
        for index in range(array.type.num_fields):
            yield from _leaves(pc.struct_field(array, [index]))
    elif pa.types.is_map(array.type):
        pairs = pa.struct([array.type.key_field, array.type.item_field])
        yield from _leaves(pc.cast(array, pa.list_(pairs)))
    elif pa.types.is_list(array.type):
        yield pc.list_value_length(array)
        yield from _leaves(array.flatten())
    elif pa.types.is_floating(array.type):
        yield array.view(pa.int32() if array.type == pa.float32() else pa.int64())
    elif pa.types.is_timestamp(array.type):
        yield pc.cast(array, pa.int64())
    else:
        yield array
