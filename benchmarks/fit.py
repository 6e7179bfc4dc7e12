"""What a job costs before its first row, and what each row adds: T = a + b N, from two sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.ratios import Spread, spread


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The two parts of a job's seconds.

    Attributes:
        start_seconds: What a job takes before any row: a.
        nanoseconds_per_row: What each row adds, with all cores at work: b.
    """

    start_seconds: Spread
    nanoseconds_per_row: Spread


def fit_sizes(small: Sequence[float], large: Sequence[float], *, small_rows: int, large_rows: int) -> Fit:
    """Fit a line through the two sizes of each round, and summarise the rounds.

    Both sizes of a round ran one after the other, so that they saw the same machine. With noise, a start can come out
    below zero; it is given as it is.

    Args:
        small: Seconds of each round on the smaller table.
        large: Seconds of the same rounds on the larger one.
        small_rows: The rows of the smaller table.
        large_rows: The rows of the larger one.
    """
    if large_rows <= small_rows:
        raise ValueError(f"a fit needs two sizes, not {small_rows:,} and {large_rows:,} rows")
    slopes = [(more - less) / (large_rows - small_rows) for less, more in zip(small, large, strict=True)]
    starts = [less - slope * small_rows for less, slope in zip(small, slopes, strict=True)]
    return Fit(start_seconds=spread(starts), nanoseconds_per_row=spread([slope * 1e9 for slope in slopes]))


def fit_columns(nanoseconds_per_row: Mapping[int, float]) -> tuple[float, float]:
    """Fit b = b0 + b1 C by least squares of the relative error: nanoseconds per row, and per cell.

    Args:
        nanoseconds_per_row: By the number of columns. Relative, so that the widest table does not decide alone.
    """
    widths = np.array(list(nanoseconds_per_row), dtype=np.float64)
    values = np.array(list(nanoseconds_per_row.values()), dtype=np.float64)
    if len(widths) < 2:
        raise ValueError("a fit over columns needs two widths")
    design = np.stack([np.ones_like(widths), widths], axis=1) / np.abs(values)[:, None]
    (per_row, per_cell), *_ = np.linalg.lstsq(design, np.sign(values), rcond=None)
    return float(per_row), float(per_cell)
