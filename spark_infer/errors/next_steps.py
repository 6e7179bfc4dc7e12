"""Parts of next steps: near names, and how to install an extra."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def nearest(name: str, names: Iterable[str], *, most: int = 3) -> str:
    """Return ``" (did you mean 'a' or 'b'?)"`` for the names most like ``name``, or ``""``.

    Names that differ only in case count as nearest of all.
    """
    return did_you_mean(nearest_names(name, names, most=most))


def did_you_mean(names: Sequence[str]) -> str:
    """Return ``" (did you mean 'a' or 'b'?)"`` for names that were found to be near, or ``""`` for none."""
    return " (did you mean " + " or ".join(repr(other) for other in names) + "?)" if names else ""


def nearest_names(name: str, names: Iterable[str], *, most: int = 3) -> list[str]:
    """Return at most ``most`` of ``names`` that are like ``name``, the likest first."""
    names = list(names)
    folded = [other for other in names if other.casefold() == name.casefold()]
    return folded or difflib.get_close_matches(name, names, n=most, cutoff=0.6)


def install_extra(name: str) -> str:
    """Say how to install an extra of this package; pip takes what it needs from the package that is installed."""
    return f"pip install 'spark-infer[{name}]'"
