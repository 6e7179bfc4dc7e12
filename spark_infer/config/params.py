"""Inference parameters as plain values, which a run's record and its workers can hold."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Any

_SCALARS = (bool, int, float, str, bytes, datetime.date, type(None))

_DAYS = tuple(f"datetime64[{unit}]" for unit in "YMWD")
"""numpy's times that Python has dates for."""


_SECRET = re.compile(r"secret|passw|credential|api_?key|access_?key|private_?key|(^|_)token$", re.IGNORECASE)
HIDDEN = "***"


def shown_params(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as values that JSON can hold; of those that are named like a secret, the name alone."""
    return {name: HIDDEN if _SECRET.search(name) else _shown(value) for name, value in given.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return shown_params({str(name): each for name, each in value.items()})
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def plain_params(given: Any) -> Any:
    """Return parameters with Python's own values in place of numpy's, as MLflow takes both.

    Raises:
        ValueError: A value is of another kind, or a time is finer than microseconds, which MLflow refuses too.
    """
    return {name: _plain(value) for name, value in given.items()} if isinstance(given, Mapping) else given


def _plain(value: Any) -> Any:
    # numpy is not imported here: its scalars and arrays are known by what they can do.
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        if value.dtype.kind == "M" and value.dtype.name not in _DAYS:
            whole = value.astype("datetime64[us]")
            if (whole != value).any():
                raise ValueError("a time is finer than microseconds")
            value = whole
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if not isinstance(value, _SCALARS):
        raise ValueError(f"{type(value).__name__} is not a number, text, truth value, time, list or mapping")
    return value


def refuse_unwritable(given: Mapping[str, Any]) -> None:
    """Refuse a model's configuration that JSON cannot hold, as MLflow does when a model is logged.

    Raises:
        ValueError: A value is of another kind.
    """
    try:
        json.dumps(given)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("holds a value that JSON has no form for") from None


def refuse_unsettable(given: Mapping[str, str]) -> None:
    """Refuse environment variables that no process can have.

    Raises:
        ValueError: A name is empty or has a `=`, or a name or a value has a NUL.
    """
    for name, value in given.items():
        if not name or "=" in name or "\0" in name + value:
            raise ValueError("a name is not empty and has no '=', and names and values have no NUL character")
