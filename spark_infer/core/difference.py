"""How far the answers of two models are apart, column by column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_infer.core.signature import is_list, spelled
from spark_infer.errors import ModelRefusedError


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The worst difference between two batches of answers.

    Numbers differ by ``|a - b| / max(1, |a|)``; whatever else is not equal differs by infinity.

    Attributes:
        output: The column it is in; None where the batches have no rows.
        row: Index of the row.
        size: How large it is.
    """

    output: str | None = None
    row: int = 0
    size: float = 0.0


def worst_difference(original: pa.RecordBatch, compiled: pa.RecordBatch) -> Difference:
    """Compare two batches of answers, column by column.

    Raises:
        ModelRefusedError: A column is of a type that cannot be compared.
    """
    worst = Difference()
    for name in original.schema.names:
        sizes = _sizes(original.column(name), compiled.column(name), name)
        if len(sizes):
            row = int(np.argmax(sizes))
            if worst.output is None or sizes[row] > worst.size:
                worst = Difference(output=name, row=row, size=float(sizes[row]))
    return worst


def differences(original: pa.RecordBatch, other: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """Return how much each row of two batches of answers differs: by its worst column.

    Raises:
        ModelRefusedError: A column is of a type that cannot be compared.
    """
    sizes = [_sizes(original.column(name), other.column(name), name) for name in original.schema.names]
    return _largest([np.zeros(original.num_rows), *sizes])


def _sizes(a: pa.Array, b: pa.Array, name: str) -> npt.NDArray[np.float64]:
    """How much each row differs."""
    if is_list(a.type):
        return _list_sizes(a, b, name)
    if pa.types.is_struct(a.type):
        inside = [_sizes(x, y, name) for x, y in zip(a.flatten(), b.flatten(), strict=True)]
        missing = a.is_null().to_numpy(zero_copy_only=False) ^ b.is_null().to_numpy(zero_copy_only=False)
        return _largest([np.where(missing, math.inf, 0.0), *inside])
    if pa.types.is_nested(a.type):
        raise ModelRefusedError(
            f"Output {name!r} is {spelled(a.type)}, and two of these cannot be compared.",
            next_step="leave `compile` out, or take other outputs with `result_type`.",
        )
    missing_a, missing_b = (each.is_null().to_numpy(zero_copy_only=False) for each in (a, b))
    x, y = (each.to_numpy(zero_copy_only=False) for each in (a, b))
    sizes = _number_sizes(x, y) if pa.types.is_floating(a.type) else np.where(x == y, 0.0, math.inf)
    sizes = np.where(missing_a & missing_b, 0.0, sizes)
    return np.where(missing_a ^ missing_b, math.inf, sizes)


def _largest(sizes: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    largest: npt.NDArray[np.float64] = np.max(sizes, axis=0)
    return largest


def _number_sizes(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    x, y = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = np.abs(x - y) / np.maximum(1.0, np.abs(x))
    same = (x == y) | (np.isnan(x) & np.isnan(y))  # infinities too
    return np.where(same, 0.0, np.where(np.isnan(sizes), math.inf, sizes))


def _list_sizes(a: pa.Array, b: pa.Array, name: str) -> npt.NDArray[np.float64]:
    lengths = [each.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False) for each in (a, b)]
    other = lengths[0] != lengths[1]
    if other.any():
        return np.where(other, math.inf, 0.0)
    inner = _sizes(a.flatten(), b.flatten(), name)
    rows = np.repeat(np.arange(len(a)), np.maximum(lengths[0], 0))
    sizes = np.zeros(len(a))
    np.maximum.at(sizes, rows, inner)
    return sizes


def cosines(a: pa.Array, b: pa.Array) -> npt.NDArray[np.float64]:
    """Return the cosine similarity of the lists of numbers in each row; -1 where only one is a list, or the longer one.

    Lists that are equal have 1, also where all of their numbers are zero, and two nulls.
    """
    lengths = [each.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False) for each in (a, b)]
    if (lengths[0] != lengths[1]).any():
        return np.where(lengths[0] == lengths[1], 1.0, -1.0)
    x, y = (each.flatten().to_numpy(zero_copy_only=False).astype(np.float64) for each in (a, b))
    rows = np.repeat(np.arange(len(a)), np.maximum(lengths[0], 0))

    def sums(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(rows, values, minlength=len(a)).astype(np.float64)

    with np.errstate(invalid="ignore", divide="ignore"):
        found = sums(x * y) / np.sqrt(sums(x * x) * sums(y * y))
    same = sums((x != y).astype(np.float64)) == 0
    return np.where(same, 1.0, np.where(np.isnan(found), -1.0, found))
