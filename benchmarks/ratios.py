"""Ratios that hold on a noisy machine: interleaved rounds, medians, bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

BOOTSTRAP_SAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of a few measurements, their range, and a bootstrap 90 % interval of the median."""

    median: float
    smallest: float
    largest: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise measurements; the same values always give the same interval.

    The interval is the percentile bootstrap of the median (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13). With fewer than about seven values it is little more than their range.
    """
    sample = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(0).choice(sample, size=(BOOTSTRAP_SAMPLES, sample.size))
    low, high = np.quantile(np.median(draws, axis=1), [0.05, 0.95])
    return Spread(
        median=float(np.median(sample)),
        smallest=float(sample.min()),
        largest=float(sample.max()),
        low=float(low),
        high=float(high),
    )


def order_of_round(engines: Sequence[str], round_number: int) -> list[str]:
    """Return the order of one round: each pair of rounds goes there and back, and starts one engine later.

    There and back (ABBA) cancels a steady drift of the machine's speed, because over a pair every engine
    has the same mean place; the later start lets every engine run first and last.
    """
    start = (round_number // 2) % len(engines)
    order = [*engines[start:], *engines[:start]]
    return order if round_number % 2 == 0 else order[::-1]


def paired_ratios(seconds: Mapping[int, float], base_seconds: Mapping[int, float]) -> list[float]:
    """Divide round by round: two runs of one round saw the same machine, two of different rounds did not.

    Args:
        seconds: By the number of the round; a slow engine takes part in fewer.
        base_seconds: The same of the base engine; rounds that only one of them has are left out.

    Raises:
        ValueError: They have no round in common.
    """
    common = sorted(seconds.keys() & base_seconds.keys())
    if not common:
        raise ValueError("the two engines have no round in common")
    return [seconds[number] / base_seconds[number] for number in common]
