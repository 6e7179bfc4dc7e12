"""`batch_size: auto`: how many rows of a batch a model is fast with, found out on the rows that are scored."""

from __future__ import annotations

import statistics

NEAR = 0.05
"""Rates that differ by less than this share count as equal."""
MOST_ROWS = 2**17
_FIRST_ROWS = 2**6
_LEAST_BATCHES, _LEAST_SECONDS = 3, 0.01


class BatchSearch:
    """Doubles the rows of a batch until that makes a model no faster, and stays with the smallest that is fast enough.

    It belongs to a process, one for each model and device; a process that scores several tasks measures once.

    Attributes:
        rows: How many rows the next batch should have.
        found: Why it is that many; empty as long as that is being measured.
    """

    def __init__(self) -> None:
        self.rows, self.found = _FIRST_ROWS, ""
        self._warm = False
        self._seconds: list[float] = []
        self._rates: dict[int, float] = {}

    def note(self, rows: int, seconds: float, *, ceiling: int | None) -> None:
        """Learn what a batch took.

        Args:
            rows: Its rows; a batch of fewer than were asked for says nothing.
            seconds: From its rows to its predictions.
            ceiling: How many rows there is memory for, as far as that is known.
        """
        if self.found:
            return
        if ceiling is not None and ceiling < self.rows:
            self._choose("there is no memory for twice as many", most=ceiling)
        elif rows == self.rows and not self._warm:
            self._warm = True  # the first call of a model makes what the others use again
        elif rows == self.rows:
            self._seconds.append(seconds)
            if len(self._seconds) >= _LEAST_BATCHES and sum(self._seconds) >= _LEAST_SECONDS:
                self._rates[rows] = rows / max(statistics.median(self._seconds), 1e-9)
                self._double()

    def _double(self) -> None:
        self._seconds.clear()
        rates = [*self._rates.values()]
        no_faster = len(rates) > 2 and max(rates[-2:]) < max(rates[:-2]) * (1 + NEAR)
        if no_faster or self.rows * 2 > MOST_ROWS:
            self._choose(f"the smallest within {NEAR:.0%} of the fastest, which was")
        else:
            self.rows *= 2

    def _choose(self, why: str, *, most: int = MOST_ROWS) -> None:
        rates = {rows: rate for rows, rate in self._rates.items() if rows <= most}
        if not rates:
            self.rows, self.found = most, f"{most:,} rows: {why}"
            return
        fastest = max(rates, key=lambda rows: rates[rows])
        self.rows = min(rows for rows, rate in rates.items() if rate >= rates[fastest] * (1 - NEAR))
        self.found = f"{self.rows:,} rows: {why}"
        if most == MOST_ROWS:
            self.found += f" {fastest:,} of {min(rates):,} to {max(rates):,}"
