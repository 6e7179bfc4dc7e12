"""Inference parameters as plain values, which a run's record and its workers can hold."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from typing import Any

from spark_infer.config.secrets import HIDDEN, is_secret, without_secrets

_SCALARS = (bool, int, float, str, bytes, datetime.date, type(None))

_DEEPEST = 100

_DAYS = tuple(f"datetime64[{unit}]" for unit in "YMWD")
"""numpy's times that Python has dates for."""


def shown_params(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as values that JSON can hold; of those that are named like a secret, the name alone."""
    return {name: HIDDEN if is_secret(name) else _shown(value) for name, value in given.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return shown_params({str(name): each for name, each in value.items()})
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float):
        return value
    return without_secrets(str(value))


def plain_params(given: Any) -> Any:
    """Return parameters with Python's own values in place of numpy's, as MLflow takes both.

    Raises:
        ValueError: A value is of another kind, or a time is finer than microseconds, which MLflow refuses too.
    """
    return {name: plain_param(value) for name, value in given.items()} if isinstance(given, Mapping) else given


def plain_param(value: Any) -> Any:
    """Return a parameter with Python's own values in place of numpy's.

    Raises:
        ValueError: As `plain_params`.
    """
    # numpy is not imported here: its scalars and arrays are known by what they can do.
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        if value.dtype.kind == "M" and value.dtype.name not in _DAYS:
            whole = value.astype("datetime64[us]")
            if (whole != value).any():
                raise ValueError("a time is finer than microseconds")
            value = whole
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: plain_param(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_param(each) for each in value]
    if not isinstance(value, _SCALARS):
        raise ValueError(f"{type(value).__name__} is not a number, text, truth value, time, list or mapping")
    return value


def plain_configuration(given: Any) -> Any:
    """Return a model's configuration with Python's own values in place of numpy's, and all else as it is."""
    return {name: _without_numpy(value) for name, value in given.items()} if isinstance(given, Mapping) else given


def _without_numpy(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"is nested deeper than {_DEEPEST} levels")
    if type(value) is dict:
        return {name: _without_numpy(each, depth + 1) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_without_numpy(each, depth + 1) for each in value)
    return plain_param(value) if hasattr(value, "tolist") and hasattr(value, "dtype") else value


def refuse_unwritable(given: Mapping[str, Any]) -> None:
    """Refuse a model's configuration that JSON cannot hold, as MLflow does when a model is logged.

    Raises:
        ValueError: A value is of another kind.
    """
    found: list[str] = []

    def note(value: Any) -> Any:
        found.append(type(value).__name__)
        raise TypeError

    try:
        json.dumps(given, default=note)
    except (TypeError, ValueError, RecursionError):
        of_type = f" of type {found[0]}" if found else ""
        raise ValueError(
            f"holds a value{of_type} that JSON has no form for; write a date or time as text, in quotes"
        ) from None


def refuse_unsettable(given: Mapping[str, str]) -> None:
    """Refuse environment variables that no process can have.

    Raises:
        ValueError: A name is empty or has a `=`, or a name or a value has a NUL or half a character.
    """
    for name, value in given.items():
        if not name or "=" in name or "\0" in name + value:
            raise ValueError("a name is not empty and has no '=', and names and values have no NUL character")
        try:
            os.fsencode(name + value)
        except UnicodeEncodeError:
            raise ValueError(
                "a name or a value holds a character that has no bytes (half of a surrogate pair)"
            ) from None
