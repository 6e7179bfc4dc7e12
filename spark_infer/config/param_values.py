"""The values of a parameter that a backfill names: a list, or a range of days or whole numbers, both ends included."""

from __future__ import annotations

import re
from datetime import date, timedelta

from spark_infer.config.job_params import given_params
from spark_infer.errors import ConfigError

MOST_VALUES = 10_000


def backfill_values(text: str) -> tuple[str, list[str]]:
    """Read ``day=2026-11-01..2026-11-28`` or ``region=eu,us``; returns the name and the values in order.

    Raises:
        ConfigError: It is something else, or a value is named twice.
    """
    try:
        ((name, several),) = given_params([text]).items()
    except ConfigError as error:
        raise _unreadable(f"{text[:60]!r}: expected name=first..last or name=value,value") from error
    values: list[str] = []
    for part in several.split(","):
        first, dots, last = part.strip().partition("..")
        values += _between(first, last) if dots else [first]
        if len(values) > MOST_VALUES:
            raise _unreadable(f"{name} has more than {MOST_VALUES:,} values")
    if not all(values):
        raise _unreadable(f"{name} has an empty value")
    if len(set(values)) < len(values):
        raise _unreadable(f"{name} has a value twice")
    return name, values


def _between(first: str, last: str) -> list[str]:
    if all(re.fullmatch(r"-?\d{1,18}", end) for end in (first, last)):
        start, end = int(first), int(last)
        count = end - start + 1
        found = [str(start + number) for number in range(min(count, MOST_VALUES + 1))]
    else:
        try:
            begin = date.fromisoformat(first)
            count = (date.fromisoformat(last) - begin).days + 1
        except ValueError:
            raise _unreadable(f"{first}..{last} is not a range of days or of whole numbers") from None
        found = [(begin + timedelta(number)).isoformat() for number in range(min(count, MOST_VALUES + 1))]
    if count < 1:
        raise _unreadable(f"{first}..{last} ends before it begins")
    return found


def _unreadable(what: str) -> ConfigError:
    return ConfigError(f"--backfill {what}", next_step="For example: --backfill day=2026-11-01..2026-11-28")
