"""How far a run is that was stopped before its end: by its time, or by a signal."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count


def how_far(done: Collection[int], units: int, *, one_by_one: bool) -> str:
    """Say how much of a run is done, and where its rows are.

    Args:
        done: The units that are sealed.
        units: How many the run has.
        one_by_one: Whether each is published when it and those before it are done.
    """
    text = f"{len(done):,} of {units:,} units are done"
    if not done:
        return text
    if not one_by_one:
        return f"{text}; their rows are kept beside the target until all are"
    published = next(number for number in count() if number not in done)
    return f"{text}, and {published:,} of them are in the target"
