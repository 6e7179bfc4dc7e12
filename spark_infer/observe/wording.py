"""What plans and reports say in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MOST_LETTERS = 60


def since_line(since: int, version: int | None) -> str:
    """Say which rows an incremental run reads; of a source without versions, beside how many files."""
    if version is None:
        return f"only files that are new beside {since:,} others"
    return f"only rows that are new after version {since}"


def quarantined_line(run_ids: Sequence[str]) -> str:
    """Say that quarantined rows are scored again, and of which runs."""
    return f"only rows quarantined by {f'run {run_ids[0]}' if len(run_ids) == 1 else count(len(run_ids), 'run')}"


def named_values(values: Mapping[str, Any]) -> list[str]:
    """Write the parameters of a job for people, and as the command line takes them."""
    return [f"{name}={value}" for name, value in values.items()]


def params_line(params: Mapping[str, Any]) -> str:
    """Write inference parameters for people, in one line."""
    return "params " + ", ".join(f"{name}={_short(repr(value))}" for name, value in params.items())


def selection_lines(partition_filter: Sequence[str], where: str | None) -> Iterator[str]:
    """Say which rows of a source are read, a line for each condition."""
    yield from (f"only table partitions with {each}" for each in partition_filter)
    if where is not None:
        yield f"only rows where {where}"


def columns_line(columns: Mapping[str, str]) -> str:
    """Name the columns that are written."""
    return f"writes {count(len(columns), 'column')}: {', '.join(columns)}"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def size(size_bytes: int) -> str:
    """Write a number of bytes for people: ``4.1 MB`` (powers of ten, as disks and object stores count)."""
    if size_bytes < 1000:
        return count(size_bytes, "byte")
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.95 or unit == "PB":
            break
    return f"{value:,.1f} {unit}"


def count(number: int, noun: str, nouns: str = "") -> str:
    """Write a number with its noun."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def seconds_text(seconds: float) -> str:
    """Write a length of time."""
    return f"{seconds:,.2f} s" if seconds < 100 else f"{seconds:,.0f} s"
